"""Moving values without changing them: reshape, transpose, concat, slice, pad, expand."""

from __future__ import annotations

import math

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.interval import Interval
from arithmos.ir.ops.op import Example, Fact, Op, Operand, broadcast, expect

Slices = tuple[tuple[int, int, int, int], ...]
"""(axis, start, step, count) for each axis that is cut: element i of the result is element start + i * step."""

Margins = tuple[tuple[int, int, int], ...]
"""(before, after, between) for each axis: how many fill values stand before, after, and between two neighbours."""


def _reshape_infer(x: Shape, *, shape: Shape) -> Shape:
    for side in (x, shape):
        expect(sum(e < 0 for e in side) <= 1, f"only one axis of {side} may hold the batch")
    expect(math.prod(x) == math.prod(shape), f"{x} and {shape} have different numbers of elements")
    return shape


def _reshape_run(x: np.ndarray, *, shape: Shape) -> np.ndarray:
    return x.reshape([-1 if extent < 0 else extent for extent in shape])


def _transpose_infer(x: Shape, *, perm: Shape) -> Shape:
    expect(sorted(perm) == list(range(len(x))), f"{perm} is not an order of the {len(x)} axes")
    return tuple(x[axis] for axis in perm)


def _transpose_run(x: np.ndarray, *, perm: Shape) -> np.ndarray:
    return x.transpose(perm)


def _concat_infer(*xs: Shape, axis: int) -> Shape:
    first = xs[0]
    expect(0 <= axis < len(first) and all(len(x) == len(first) for x in xs), f"concat of {xs} along axis {axis}")
    expect(
        all(x[:axis] + x[axis + 1 :] == first[:axis] + first[axis + 1 :] for x in xs),
        f"concat along axis {axis}: the other extents of {xs} differ",
    )
    expect(all(x[axis] > 0 for x in xs), "concat along the batch is not an operation on one input")
    return (*first[:axis], sum(x[axis] for x in xs), *first[axis + 1 :])


def _concat_run(*xs: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate(xs, axis=axis)


def _concat_bound(*xs: Fact, axis: int) -> Interval:
    hull = xs[0].range
    for x in xs[1:]:
        hull = hull | x.range
    return hull


def _slice_infer(x: Shape, *, slices: Slices) -> Shape:
    axes = [axis for axis, *_ in slices]
    expect(len(set(axes)) == len(axes), f"each axis can be sliced once, got axes {axes}")
    result = list(x)
    for axis, start, step, count in slices:
        expect(0 <= axis < len(x) and x[axis] > 0, f"axis {axis} of {x} cannot be sliced")
        last = start + (count - 1) * step
        expect(count >= 1 and step != 0, f"slice of axis {axis} takes {count} elements with step {step}")
        expect(0 <= start < x[axis] and 0 <= last < x[axis], f"slice {start}..{last} leaves axis {axis} of {x}")
        result[axis] = count
    return tuple(result)


def _slice_run(x: np.ndarray, *, slices: Slices) -> np.ndarray:
    for axis, start, step, count in slices:
        stop = start + count * step
        x = x[(slice(None),) * axis + (slice(start, stop if stop >= 0 else None, step),)]
    return x


def _pad_infer(x: Shape, *, margins: Margins, fill: float) -> Shape:
    expect(len(margins) == len(x), f"pad needs one margin for each axis of {x}")
    expect(all(min(m) >= 0 for m in margins), "margins must not be negative (use slice)")
    expect(all(m == (0, 0, 0) or e > 0 for m, e in zip(margins, x, strict=True)), "the batch axis cannot be padded")
    return tuple(e if m == (0, 0, 0) else e + m[0] + m[1] + m[2] * (e - 1) for e, m in zip(x, margins, strict=True))


def _pad_run(x: np.ndarray, *, margins: Margins, fill: float) -> np.ndarray:
    if not any(any(m) for m in margins):
        return x  # the fill may not even fit the type of x
    shape = [
        e + before + after + between * (e - 1) for e, (before, after, between) in zip(x.shape, margins, strict=True)
    ]
    y = np.full(shape, fill, dtype=x.dtype)
    inside = tuple(
        slice(before, before + e + between * (e - 1), between + 1)
        for e, (before, _, between) in zip(x.shape, margins, strict=True)
    )
    y[inside] = x
    return y


def _pad_bound(x: Fact, *, margins: Margins, fill: int) -> Interval:
    return x.range | Interval(fill, fill) if any(any(m) for m in margins) else x.range


def _expand_infer(x: Shape, like: Shape) -> Shape:
    """x repeated to the shape of `like`; the values of `like` do not matter."""
    expect(broadcast(x, like) == like, f"{x} does not broadcast to {like}")
    return like


def _expand_run(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x, like.shape)


OPS = {
    "reshape": Op(
        _reshape_infer,
        _reshape_run,
        lambda x, **_: x.range,
        (
            Example((Operand((-1, 3, 4)),), {"shape": (-1, 12)}),
            Example((Operand((-1, 6, 4)),), {"shape": (-2, 3, 4)}),
            Example((Operand((-1, 6)),), {"shape": (-1, 2, 1, 3)}),
        ),
    ),
    "transpose": Op(
        _transpose_infer,
        _transpose_run,
        lambda x, **_: x.range,
        (
            Example((Operand((-1, 3, 4, 5)),), {"perm": (0, 2, 3, 1)}),
            Example((Operand((-1, 3, 4)),), {"perm": (0, 2, 1)}),
        ),
    ),
    "concat": Op(
        _concat_infer,
        _concat_run,
        _concat_bound,
        (
            Example((Operand((-1, 3, 2, 2)), Operand((-1, 1, 2, 2)), Operand((-1, 2, 2, 2))), {"axis": 1}),
            Example((Operand((-1, 4)), Operand((-1, 3), Interval(0, 9))), {"axis": 1}),
        ),
    ),
    "slice": Op(
        _slice_infer,
        _slice_run,
        lambda x, **_: x.range,
        (
            Example((Operand((-1, 3, 6, 7)),), {"slices": ((2, 0, 2, 3), (3, 1, 2, 3))}),
            Example((Operand((-1, 5)),), {"slices": ((1, 4, -1, 5),)}),
            Example((Operand((-1, 8, 2)),), {"slices": ((1, 2, 1, 4),)}),
        ),
    ),
    "pad": Op(
        _pad_infer,
        _pad_run,
        _pad_bound,
        (
            Example((Operand((-1, 2, 3, 3)),), {"margins": ((0, 0, 0), (1, 2, 0), (1, 1, 0), (0, 2, 0)), "fill": 0}),
            Example((Operand((-1, 2, 3)),), {"margins": ((0, 0, 0), (0, 0, 0), (1, 1, 1)), "fill": -5}),
        ),
    ),
    "expand": Op(
        _expand_infer,
        _expand_run,
        lambda x, like: x.range,
        (
            Example((Operand((1, 4), constant=True), Operand((-1, 1, 4)))),
            Example((Operand((-1, 3, 1, 1)), Operand((-1, 3, 2, 4)))),
        ),
    ),
}
