"""Moving and looking up values: reshape, transpose, concat, slice, pad, expand, table, gather."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from arithmos.ir.graph import Node, Shape
from arithmos.ir.interval import Interval
from arithmos.targets.ezkl.elementwise import minus, plus
from arithmos.targets.ezkl.emission import LONG, Emission, Operand, cut, parts
from arithmos.targets.one_sample import one_sample


def _reshape(e: Emission, node: Node) -> Operand:
    return e.put("Reshape", e.tensor(node.inputs[0]), e.axes(one_sample(node.attrs["shape"])))


def _transpose(e: Emission, node: Node) -> Operand:
    return e.put("Transpose", e.tensor(node.inputs[0]), perm=list(node.attrs["perm"]))


def _concat(e: Emission, node: Node) -> Operand:
    return e.put("Concat", *(e.tensor(name) for name in node.inputs), axis=node.attrs["axis"])


def _slice(e: Emission, node: Node) -> Operand:
    return cut(e, e.tensor(node.inputs[0]), node.attrs["slices"])


def _pad(e: Emission, node: Node) -> Operand:
    """fill + pad(x - fill): ezkl pads with 0 alone."""
    (name,) = node.inputs
    margins, fill, shape = node.attrs["margins"], node.attrs["fill"], list(e.shape(name))
    if not any(any(margin) for margin in margins):
        return e.tensor(name)
    e.held(e.range(name) - Interval(fill, fill), Interval(fill, fill))
    x = minus(e, e.tensor(name), np.array(fill)) if fill else e.tensor(name)
    for axis, (_, _, between) in enumerate(margins):
        if between:
            x = _spread(e, x, tuple(shape), axis, between)
            shape[axis] += between * (shape[axis] - 1)
    x = surround(e, x, [(before, after) for before, after, _ in margins])
    return plus(e, x, np.array(fill)) if fill else x


def surround(e: Emission, x: str, margins: list[tuple[int, int]]) -> str:
    """x with (before, after) zeros at each axis."""
    if not any(any(pair) for pair in margins):
        return x
    return e.put("Pad", x, e.axes([b for b, _ in margins] + [a for _, a in margins]), mode="constant")


def _spread(e: Emission, x: str, shape: Shape, axis: int, between: int) -> str:
    """`between` zeros between neighbours along an axis: an axis of one behind it is padded and merged into it."""
    extent, wide = shape[axis], between + 1
    x = e.put("Reshape", x, e.axes((*shape[: axis + 1], 1, *shape[axis + 1 :])))
    margins = [(0, 0)] * (len(shape) + 1)
    margins[axis + 1] = (0, between)
    x = surround(e, x, margins)
    x = e.put("Reshape", x, e.axes((*shape[:axis], extent * wide, *shape[axis + 1 :])))
    return cut(e, x, ((axis, 0, 1, extent * wide - between),))


def _expand(e: Emission, node: Node) -> Operand:
    return e.put("Expand", e.tensor(node.inputs[0]), e.axes(e.shape(node.output)))


def _table(e: Emission, node: Node) -> Operand:
    """Gather(entries, x - offset); with a table for each channel, those lie one behind the other."""
    x, entries = node.inputs
    offset, axis, size = node.attrs["offset"], node.attrs["axis"], e.shape(entries)[-1]
    first = np.array(-offset)
    if axis is not None:
        channels = np.arange(e.shape(x)[axis]) * size
        first = channels.reshape(-1, *[1] * (len(e.shape(x)) - axis - 1)) - offset
    e.held(e.range(x), Interval(offset, offset))
    e.decomposed(Interval(0, e.graph.constants[entries].size))
    index = plus(e, e.tensor(x), first) if first.any() else e.tensor(x)
    return _rows(e, e.graph.constants[entries].reshape(-1), index)


def _gather(e: Emission, node: Node) -> Operand:
    data, index = node.inputs
    e.decomposed(Interval(0, e.shape(data)[0]))
    return _rows(e, e.read(data), e.tensor(index))


def _rows(e: Emission, data: Operand, index: str) -> str:
    chosen = e.put("Cast", index, to=LONG)
    tables = [data] if isinstance(data, str) else [e.stored(part) for part in parts(data)]
    rows = [e.put("Gather", table, chosen, axis=0) for table in tables]
    return reduce(lambda a, b: e.put("Add", a, b), rows)


EMIT: dict[str, Callable[[Emission, Node], Operand]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "expand": _expand,
    "table": _table,
    "gather": _gather,
}
