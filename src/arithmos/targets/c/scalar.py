"""Ops of one element each: operands as C expressions in, one C expression out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import INT32, Term, binary, call, clipped, ctype_of, narrowed, widened, work_type
from arithmos.targets.c.emission import Function, element
from arithmos.targets.c.layout import Layout, Loop, aligned, index, permuted, sum_of

Emitter: TypeAlias = Callable[[Function, Node, Callable[[int], Term], Sequence[Loop]], Term]
"""(function, node, operand number -> its term, loops over the node's axes) -> the node's term."""


def _arithmetic(operator: str) -> Emitter:
    def emit(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
        return binary(operator, operand(0), operand(1), range_of(function, node.output))

    return emit


def _maximum(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    a, b = operand(0), operand(1)
    work = work_type(a.range, b.range)
    return call(f"max{work[3:5]}", a, b, result=range_of(function, node.output), work=work)


def _clip(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    x, lo, hi = operand(0), node.attrs["lo"], node.attrs["hi"]
    return clipped(x, x.range.lo if lo is None else lo, x.range.hi if hi is None else hi)


def _where(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    condition, a, b = operand(0), operand(1), operand(2)
    work = work_type(a.range, b.range)
    text = f"{condition.operand} != 0 ? {widened(a, work).operand} : {widened(b, work).operand}"
    return Term(text, a.range | b.range, work)


def _requantize(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    """clip((x * mul + 2**(shift-1)) >> shift), in 32 bits if the product and the sum fit."""
    shift, x = node.attrs["shift"], operand(0)
    mul = operand(1) if len(node.inputs) > 1 else None
    half = (1 << shift) >> 1
    scaled = x.range if mul is None else x.range * mul.range
    summed = scaled + Interval(half, half)
    work = work_type(x.range, scaled, summed, *([] if mul is None else [mul.range]))
    term = x if mul is None or mul.text == "1" else binary("*", x, mul, scaled, work)
    if shift:
        total = f"{widened(term, work).operand if term is x else term.text} + {_half(half)}"
        shifted = Term(f"({total}) >> {shift}", Interval(summed.lo >> shift, summed.hi >> shift), work)
        term = narrowed(shifted, work_type(shifted.range))
    return clipped(term, node.attrs["lo"], node.attrs["hi"])


def _half(half: int) -> str:
    """2**(shift-1) as a power of two where that reads better than the number."""
    if half < 1024:
        return str(half)
    one = "1" if half <= INT32.hi else "(int64_t)1"
    return f"({one} << {half.bit_length() - 1})"


def _shift_right(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    x, shift = operand(0), operand(1)
    work = "int64_t" if shift.range.hi > 31 else work_type(x.range)
    return narrowed(
        binary(">>", x, shift, range_of(function, node.output), work), work_type(range_of(function, node.output))
    )


def _floor_div(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    a, b, result = operand(0), operand(1), range_of(function, node.output)
    if a.range.lo >= 0:
        return binary("/", a, b, result)
    work = work_type(a.range, b.range, result)
    return call(f"floor_div{work[3:5]}", a, b, result=result, work=work)


def _isqrt(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    root = call("isqrt64", operand(0), result=range_of(function, node.output), work="int64_t")
    return narrowed(root, work_type(root.range))


def _table(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    """entries[x - offset], with the row of the channel where each has its own."""
    entries, x = function.operand(node.inputs[1]), operand(0)
    axis, offset = node.attrs["axis"], node.attrs["offset"]
    row = "" if axis is None else index(_rows(function, node), loops)
    place = sum_of([row if row != "0" else "", x.operand, str(-offset) if offset else ""])
    return Term(f"{entries.pointer}[{place}]", range_of(function, node.output), ctype_of(entries.dtype), True)


def _view(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    """A node that only reads elsewhere: the operand's memory with other strides."""
    return element(function.operand(node.inputs[0]), _viewed(function, node), loops)


def _viewed(function: Function, node: Node) -> Layout:
    layout = function.program.memory.storages[node.inputs[0]].layout
    return aligned(VIEWS[node.op](layout, node), function.shape(node.output))


def _rows(function: Function, node: Node) -> Layout:
    """Where the rows of a table of rows start, as if the entries had the node's shape."""
    shape, length = function.shape(node.output), function.shape(node.inputs[1])[-1]
    return Layout(shape, tuple(length if axis == node.attrs["axis"] else 0 for axis in range(len(shape))))


def _sliced(layout: Layout, node: Node) -> Layout:
    shape, strides, offset = list(layout.shape), list(layout.strides), layout.offset
    for axis, start, step, count in node.attrs["slices"]:
        offset += start * strides[axis]
        shape[axis], strides[axis] = count, strides[axis] * step if count > 1 else 0
    return Layout(tuple(shape), tuple(strides), offset)


def range_of(function: Function, name: str) -> Interval:
    """The proven range of a value."""
    interval = function.program.graph.values[name].range
    assert interval is not None, "an integer graph has ranges"
    return interval


VIEWS: dict[str, Callable[[Layout, Node], Layout]] = {
    "transpose": lambda layout, node: permuted(layout, node.attrs["perm"]),
    "slice": _sliced,
    "expand": lambda layout, node: layout,
}
"""Ops that only read their first operand elsewhere in memory: (its layout, the node) -> the layout they see."""

SCALAR: dict[str, Emitter] = dict.fromkeys(VIEWS, _view) | {
    "add": _arithmetic("+"),
    "sub": _arithmetic("-"),
    "mul": _arithmetic("*"),
    "maximum": _maximum,
    "clip": _clip,
    "where": _where,
    "requantize": _requantize,
    "shift_right": _shift_right,
    "floor_div": _floor_div,
    "isqrt": _isqrt,
    "table": _table,
}
"""Every op of one element in, one out: any number of them become one loop."""


def finish(function: Function, loops: Sequence[Loop], given: Term | None = None) -> None:
    """The step's scalar nodes in order, each a local constant, the last one stored; `given` is the anchor's element."""
    step, names = function.step, function.program.names
    terms: dict[str, Term] = {}
    if given is not None and step.anchor is not None:
        terms[step.anchor.output] = given
    for node in step.nodes:
        if node.output in terms:
            continue
        term = _term(function, node, terms, loops)
        if node is not step.root:
            ctype = work_type(term.range)
            value = narrowed(term, ctype) if term.ctype == "int64_t" else term
            function.line(f"const {ctype} {names[node.output]} = {value.text};")
            term = Term(names[node.output], term.range, ctype, True)
        terms[node.output] = term
    function.store(terms[step.root.output], loops)


def elementwise(function: Function, node: Node) -> None:
    """A step of scalar nodes only: loops over the stored value, merged wherever all operands allow."""
    layout = function.target().layout
    inside = {node.output for node in function.step.nodes}
    layouts = [layout]
    for node in function.step.nodes:
        layouts += _read_layouts(function, node, inside)
    with function.nest(layout, layouts) as loops:
        finish(function, loops)


def _term(function: Function, node: Node, terms: Mapping[str, Term], loops: Sequence[Loop]) -> Term:
    def operand(number: int) -> Term:
        name = node.inputs[number]
        return terms[name] if name in terms else function.load(name, function.shape(node.output), loops)

    return SCALAR[node.op](function, node, operand, loops)


def _read_layouts(function: Function, node: Node, inside: Collection[str]) -> list[Layout]:
    if node.op in VIEWS:
        return [_viewed(function, node)]
    table = node.op == "table"
    read = [name for name in (node.inputs[:1] if table else node.inputs) if name not in inside]
    storages, shape = function.program.memory.storages, function.shape(node.output)
    rows = [_rows(function, node)] if table and node.attrs["axis"] is not None else []
    return [aligned(storages[name].layout, shape) for name in read] + rows
