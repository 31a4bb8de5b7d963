"""Ops of one element each: operands as C expressions in, one C expression out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from arithmos.ir.graph import Node
from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import Term, binary, call, clipped, ctype_of, narrowed, widened, work_type
from arithmos.targets.c.emission import Function, element
from arithmos.targets.c.layout import Layout, Loop, aligned, index, merged_axes, permuted, storage_order, sum_of

Emitter: TypeAlias = Callable[[Function, Node, Callable[[int], Term], Sequence[Loop]], Term]
"""(function, node, operand number -> its term, loops over the node's axes) -> the node's term."""


def _arithmetic(operator: str) -> Emitter:
    def emit(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
        return binary(operator, operand(0), operand(1), _range(function, node))

    return emit


def _maximum(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    a, b = operand(0), operand(1)
    work = work_type(a.range, b.range)
    return call(f"max{work[3:5]}", a, b, result=_range(function, node), work=work)


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
        total = f"{widened(term, work).operand if term is x else term.text} + {_half(half, work)}"
        shifted = Term(f"({total}) >> {shift}", Interval(summed.lo >> shift, summed.hi >> shift), work)
        term = narrowed(shifted, work_type(shifted.range))
    return clipped(term, node.attrs["lo"], node.attrs["hi"])


def _half(half: int, work: str) -> str:
    """2**(shift-1) as a power of two where that reads better than the number."""
    if half < 1024:
        return str(half)
    exponent = half.bit_length() - 1
    return f"(({work})1 << {exponent})"


def _shift_right(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    x, shift = operand(0), operand(1)
    work = "int64_t" if shift.range.hi > 31 else work_type(x.range)
    return narrowed(binary(">>", x, shift, _range(function, node), work), work_type(_range(function, node)))


def _floor_div(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    a, b, result = operand(0), operand(1), _range(function, node)
    if a.range.lo >= 0:
        return binary("/", a, b, result)
    work = work_type(a.range, b.range, result)
    return call(f"floor_div{work[3:5]}", a, b, result=result, work=work)


def _isqrt(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    root = call("isqrt64", operand(0), result=_range(function, node), work="int64_t")
    return narrowed(root, work_type(root.range))


def _table(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
    """entries[x - offset], with the row of the channel where each has its own."""
    entries, x = function.operand(node.inputs[1]), operand(0)
    axis, offset = node.attrs["axis"], node.attrs["offset"]
    row = ""
    if axis is not None:
        shape = function.program.memory.storages[node.inputs[0]].layout.shape if node.inputs[0] in function.program.memory.storages else tuple(abs(e) for e in function.program.graph.values[node.inputs[0]].shape)
        strides = tuple(entries.layout.strides[0] if a == axis else 0 for a in range(len(shape)))
        row = index(Layout(shape, strides), loops)
    place = sum_of([row if row != "0" else "", x.operand, str(-offset) if offset else ""])
    return Term(f"{entries.pointer}[{place}]", _range(function, node), ctype_of(entries.dtype), True)


def _view(change: Callable[[Layout, Node], Layout]) -> Emitter:
    """A node that only reads elsewhere: the operand's memory with other strides."""

    def emit(function: Function, node: Node, operand: Callable[[int], Term], loops: Sequence[Loop]) -> Term:
        source = function.operand(node.inputs[0])
        shape = tuple(abs(extent) for extent in function.program.graph.values[node.output].shape)
        return element(source, aligned(change(source.layout, node), shape), loops)

    return emit


def _sliced(layout: Layout, node: Node) -> Layout:
    shape, strides, offset = list(layout.shape), list(layout.strides), layout.offset
    for axis, start, step, count in node.attrs["slices"]:
        offset += start * strides[axis]
        shape[axis], strides[axis] = count, strides[axis] * step if count > 1 else 0
    return Layout(tuple(shape), tuple(strides), offset)


def _range(function: Function, node: Node) -> Interval:
    interval = function.program.graph.values[node.output].range
    assert interval is not None, "an integer graph has ranges"
    return interval


VIEWS: dict[str, Emitter] = {
    "transpose": _view(lambda layout, node: permuted(layout, node.attrs["perm"])),
    "slice": _view(_sliced),
    "expand": _view(lambda layout, node: layout),
}
"""Ops that read their first operand elsewhere in memory."""

SCALAR: dict[str, Emitter] = VIEWS | {
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


def finish(function: Function, loops: Sequence[Loop], given: Term | None) -> None:
    """The step's scalar nodes in order, each a local constant, the last one stored; `given` is the anchor's element."""
    terms: dict[str, Term] = {}
    names = function.program.names
    if given is not None:
        assert function.step.anchor is not None
        terms[function.step.anchor.output] = given
    for node in function.step.nodes:
        if node.output not in terms:
            terms[node.output] = _node(function, node, terms, loops)
            if node is not function.step.root and not terms[node.output].text.isidentifier():
                term = terms[node.output]
                ctype = term.ctype if term.ctype in ("int32_t", "int64_t") else "int"
                function.line(f"const {ctype} {names[node.output]} = {term.text};")
                terms[node.output] = Term(names[node.output], term.range, ctype, True)
    function.store(terms[function.step.root.output], loops)


def _node(function: Function, node: Node, terms: dict[str, Term], loops: Sequence[Loop]) -> Term:
    shape = tuple(abs(extent) for extent in function.program.graph.values[node.output].shape)

    def operand(number: int) -> Term:
        name = node.inputs[number]
        return terms[name] if name in terms else function.load(name, shape, loops)

    return SCALAR[node.op](function, node, operand, loops)


def elementwise(function: Function, node: Node) -> None:
    """A step of scalar nodes only: loops over the stored value from front to back, merged wherever all operands allow."""
    target = function.target()
    layouts = [target.layout, *(_read(function, name, node, target.layout) for node in function.step.nodes for name in node.inputs)]
    with nest(function, target.layout, layouts) as loops:
        finish(function, loops, None)
