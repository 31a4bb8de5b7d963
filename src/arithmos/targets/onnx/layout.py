"""Moving and looking up values: reshape, transpose, concat, slice, pad, expand, table, gather."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arithmos.ir.graph import Node, Shape
from arithmos.targets.onnx.carrier import LONG, narrowest
from arithmos.targets.onnx.elementwise import Emitted
from arithmos.targets.onnx.emission import Emission, cut, dynamic


def _held(e: Emission, value: str) -> Emitted:
    carrier = narrowest(e.range(value))
    return carrier, e.read(value, carrier)


def _reshape(e: Emission, node: Node) -> Emitted:
    carrier, x = _held(e, node.inputs[0])
    return carrier, e.put("Reshape", x, e.axes(dynamic(node.attrs["shape"])))


def _transpose(e: Emission, node: Node) -> Emitted:
    carrier, x = _held(e, node.inputs[0])
    return carrier, e.put("Transpose", x, perm=list(node.attrs["perm"]))


def _concat(e: Emission, node: Node) -> Emitted:
    carrier = narrowest(*(e.range(name) for name in node.inputs))
    return carrier, e.put("Concat", *(e.read(name, carrier) for name in node.inputs), axis=node.attrs["axis"])


def _slice(e: Emission, node: Node) -> Emitted:
    carrier, x = _held(e, node.inputs[0])
    return carrier, cut(e, x, node.attrs["slices"])


def _pad(e: Emission, node: Node) -> Emitted:
    (name,) = node.inputs
    margins, fill, shape = node.attrs["margins"], node.attrs["fill"], list(e.shape(name))
    carrier = narrowest(e.range(name), e.range(node.output))
    x, number = e.read(name, carrier), e.number(fill, carrier)
    for axis, (_, _, between) in enumerate(margins):
        if between:
            x = _spread(e, x, tuple(shape), axis, between, number)
            shape[axis] += between * (shape[axis] - 1)
    ends = [(before, after) for before, after, _ in margins]
    if not any(any(pair) for pair in ends):
        return carrier, x
    # ONNX Runtime folds a Pad into the MaxPool, AveragePool or Conv behind it; in a MaxPool the fill value gets lost.
    # A Pad of one axis more, with a Squeeze behind it, is never the neighbour of any of them.
    padded = surround(e, e.put("Unsqueeze", x, e.axes([0])), [(0, 0), *ends], number)
    return carrier, e.put("Squeeze", padded, e.axes([0]))


def surround(e: Emission, x: str, margins: list[tuple[int, int]], fill: str) -> str:
    """x with (before, after) fill values at each axis."""
    if not any(any(pair) for pair in margins):
        return x
    return e.put("Pad", x, e.axes([b for b, _ in margins] + [a for _, a in margins]), fill, mode="constant")


def _spread(e: Emission, x: str, shape: Shape, axis: int, between: int, fill: str) -> str:
    """`between` fill values between neighbours along an axis: an axis of one behind it is padded and merged into it."""
    extent, wide = shape[axis], between + 1
    x = e.put("Reshape", x, e.axes(dynamic((*shape[: axis + 1], 1, *shape[axis + 1 :]))))
    margins = [(0, 0)] * (len(shape) + 1)
    margins[axis + 1] = (0, between)
    x = surround(e, x, margins, fill)
    x = e.put("Reshape", x, e.axes(dynamic((*shape[:axis], extent * wide, *shape[axis + 1 :]))))
    return cut(e, x, ((axis, 0, 1, extent * wide - between),))


def _expand(e: Emission, node: Node) -> Emitted:
    carrier, x = _held(e, node.inputs[0])
    like = node.inputs[1]
    return carrier, e.put("Expand", x, e.put("Shape", _held(e, like)[1]))


def _table(e: Emission, node: Node) -> Emitted:
    """Gather(entries, x - offset); with a table for each channel, those lie one behind the other.

    Two steps, for the offset may be the lowest int64: it has no negative, but x minus it is in 0 .. size - 1.
    """
    x, entries = node.inputs
    offset, axis, size = node.attrs["offset"], node.attrs["axis"], e.shape(entries)[-1]
    index = e.read(x, LONG)
    if offset:
        index = e.put("Sub", index, e.number(offset, LONG))
    if axis is not None:
        first = np.arange(e.shape(x)[axis]) * size
        index = e.put("Add", index, e.number(first.reshape(-1, *[1] * (len(e.shape(x)) - axis - 1)), LONG))
    carrier = narrowest(e.range(entries))
    flat = e.integers(e.graph.constants[entries].reshape(-1), carrier)
    return carrier, e.put("Gather", flat, index, axis=0)


def _gather(e: Emission, node: Node) -> Emitted:
    carrier, data = _held(e, node.inputs[0])
    return carrier, e.put("Gather", data, e.read(node.inputs[1], LONG), axis=0)


EMIT: dict[str, Callable[[Emission, Node], Emitted]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "expand": _expand,
    "table": _table,
    "gather": _gather,
}
