"""The proven range of every single element: tighter than a value's, because it knows each channel's weights.

Interval arithmetic on two arrays. A convolution is monotone in each input with the sign of its weight, so its bounds
are two sums over the positive and the negative weights; an op that is monotone maps bounds to bounds. For every other
op the value's own range stands. Bits in a circuit are counted by these bounds.
"""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.ir.ops import INT
from arithmos.targets.one_sample import one_sample
from arithmos.targets.zk.place import Bounds, Place

MONOTONE = frozenset(
    {"add", "maximum", "clip", "max_pool", "sum_pool", "reduce_sum", "reduce_max", "reshape", "transpose", "concat"}
    | {"slice", "pad", "expand", "isqrt"}
)
"""Ops that never decrease where an operand increases."""


def bounds(graph: Graph) -> dict[str, Bounds]:
    """Bounds of every value, constants included."""
    found: dict[str, Bounds] = {}
    for name, array in graph.constants.items():
        found[name] = (array.astype(np.int64),) * 2
    for name in graph.inputs:
        found[name] = _whole(graph, name)
    for node in graph.nodes:
        place = Place(graph, node, found)
        lo, hi = _bounds(place)
        least, greatest = _whole(graph, node.output)
        found[node.output] = np.maximum(lo, least), np.minimum(hi, greatest)
    return found


def _whole(graph: Graph, name: str) -> Bounds:
    value = graph.values[name]
    assert value.range is not None, "only integer graphs have bounds"
    shape = one_sample(value.shape)
    return np.full(shape, value.range.lo, np.int64), np.full(shape, value.range.hi, np.int64)


def _bounds(place: Place) -> Bounds:
    node = place.node
    attrs = {**node.attrs, "shape": place.shape} if node.op == "reshape" else dict(node.attrs)
    operands = [place.bounds[name] for name in node.inputs]
    run = INT[node.op].run
    if node.op in MONOTONE:
        return run(*(lo for lo, _ in operands), **attrs), run(*(hi for _, hi in operands), **attrs)
    if node.op in ("conv", "linear"):
        return _weighted(place, operands)
    if node.op == "sub":
        return operands[0][0] - operands[1][1], operands[0][1] - operands[1][0]
    if node.op == "mul":
        corners = [a * b for a in operands[0] for b in operands[1]]
        return np.minimum.reduce(corners), np.maximum.reduce(corners)
    if node.op == "requantize":
        ends = [run(x, *(place.array(i) for i in range(1, len(operands))), **attrs) for x in operands[0]]
        return np.minimum(*ends), np.maximum(*ends)
    return _whole(place.graph, node.output)


def _weighted(place: Place, operands: list[Bounds]) -> Bounds:
    (lo, hi), (weight, _), *bias = operands
    run, attrs = INT[place.node.op].run, place.node.attrs
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    ends = [b[0] for b in bias]
    return run(lo, plus, *ends, **attrs) + run(hi, minus, **attrs), run(hi, plus, *ends, **attrs) + run(
        lo, minus, **attrs
    )
