"""Max-pooling as a tournament of pairs, max(a, b) = b + relu(a - b): the form in which polynomials can take it."""

from __future__ import annotations

import itertools
import math

from arithmos.ir.graph import Node, Shape
from arithmos.ir.ops.window import Pairs
from arithmos.passes.rewrite import Rewriter


def tournament(state: Rewriter, node: Node) -> str:
    """max over the window = rounds of max(a, b) over pairs of taps; ceil(log2(taps)) rounds, the least there can be.

    Where it costs no round, one axis goes after the other, so that neighbouring windows share the maxima of rows: 4
    comparisons a window of 3 x 3 at stride 1 and 6 at stride 2, instead of 8. Padding is absent in a maximum; here it
    is the nearest element of the same window once more, which changes no maximum.
    """
    kernel, stride, padding = (node.attrs[key] for key in ("kernel", "stride", "padding"))
    x = state.use(node.inputs[0])
    for axes in phases(kernel):
        x = _fold(state, node, x, axes, kernel, stride, padding)
    if x == state.use(node.inputs[0]):  # windows of one element: the result has a name of its own all the same
        like = state.graph.values[node.output]
        return state.emit("slice", x, like=like, name=f"{node.output}.tap", slices=())
    return x


def phases(kernel: Shape) -> list[tuple[int, ...]]:
    """The spatial axes whose taps meet together: each by itself, last one first, or all if that is shallower."""
    axes = tuple(range(len(kernel)))
    apart = sum(rounds(k) for k in kernel)
    return [(axis,) for axis in reversed(axes)] if apart == rounds(math.prod(kernel)) else [axes]


def rounds(taps: int) -> int:
    """ceil(log2(taps))."""
    return (taps - 1).bit_length()


def maximum(state: Rewriter, node: Node, a: str, b: str) -> str:
    """b + relu(a - b), the new nodes named after the value of `node`."""
    like = state.graph.values[node.output]
    difference = state.emit("sub", a, b, like=like, name=f"{node.output}.difference")
    excess = state.emit("relu", difference, like=like, name=f"{node.output}.excess")
    return state.emit("add", b, excess, like=like, name=f"{node.output}.maximum")


def _fold(
    state: Rewriter, node: Node, x: str, axes: tuple[int, ...], kernel: Shape, stride: Shape, padding: Pairs
) -> str:
    like = state.graph.values[node.output]
    for axis in axes:
        x = _widened(state, node, x, axis + 2, padding[axis])
    counts = {axis: like.shape[axis + 2] for axis in axes}
    taps = []
    for starts in itertools.product(*(range(kernel[axis]) for axis in axes)):
        cuts = tuple((a + 2, start, stride[a], counts[a]) for a, start in zip(axes, starts, strict=True))
        if all(count == state.builder.values[x].shape[axis] for axis, _, _, count in cuts):
            taps.append(x)
        else:
            taps.append(state.emit("slice", x, like=like, name=f"{node.output}.tap", slices=cuts))
    while len(taps) > 1:
        pairs = zip(taps[0::2], taps[1::2], strict=False)
        taps = [maximum(state, node, a, b) for a, b in pairs] + taps[len(taps) - len(taps) % 2 :]
    return taps[0]


def _widened(state: Rewriter, node: Node, x: str, axis: int, margins: tuple[int, int]) -> str:
    """The first and the last element along the axis once more for each place of padding."""
    if margins == (0, 0):
        return x
    like, extent = state.graph.values[node.output], state.builder.values[x].shape[axis]
    ends = []
    for start, repeated in ((0, margins[0]), (extent - 1, margins[1])):
        cut = ((axis, start, 1, 1),)
        name = state.emit("slice", x, like=like, name=f"{node.output}.edge", slices=cut) if repeated else ""
        ends.append((name,) * repeated)
    return state.emit("concat", *ends[0], x, *ends[1], like=like, name=f"{node.output}.widened", axis=axis)
