"""Reductions: pooling over windows, sums and maxima over axes, argmax."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from arithmos.ir.graph import Shape
from arithmos.ir.interval import ZERO, Interval
from arithmos.ir.ops.op import Example, Fact, Op, Operand, expect
from arithmos.ir.ops.window import Pairs, window_count


def _pool_infer(x: Shape, *, kernel: Shape, stride: Shape, padding: Pairs) -> Shape:
    expect(len(x) >= 3, f"pooling takes (batch, channel, space...), got {x}")
    counts = window_count(x[2:], kernel, stride, padding, (1,) * len(kernel))
    expect(
        all(before < k for k, (before, _) in zip(kernel, padding, strict=True)),
        f"padding {padding} leaves windows of {kernel} without a single element",
    )
    last = tuple((c - 1) * s - before for c, s, (before, _) in zip(counts, stride, padding, strict=True))
    expect(
        all(start < size for start, size in zip(last, x[2:], strict=True)),
        f"padding {padding} leaves the last window of {kernel} without a single element",
    )
    return (*x[:2], *counts)


def _windows(x: np.ndarray, fill: float, kernel: Shape, stride: Shape, padding: Pairs) -> np.ndarray:
    rank = len(kernel)
    padded = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=fill)
    windows = sliding_window_view(padded, kernel, axis=tuple(range(2, 2 + rank)))
    return windows[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]


def _max_pool_run(x: np.ndarray, *, kernel: Shape, stride: Shape, padding: Pairs) -> np.ndarray:
    """Maximum over the window; padding is absent, not zero."""
    lowest = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return np.asarray(_windows(x, lowest, kernel, stride, padding).max(axis=tuple(range(-len(kernel), 0))))


def _sum_pool_run(x: np.ndarray, *, kernel: Shape, stride: Shape, padding: Pairs) -> np.ndarray:
    return np.asarray(_windows(x, 0, kernel, stride, padding).sum(axis=tuple(range(-len(kernel), 0)), dtype=x.dtype))


def _sum_pool_bound(x: Fact, *, kernel: Shape, **_: object) -> Interval:
    inside = x.range | ZERO
    return Interval(inside.lo * math.prod(kernel), inside.hi * math.prod(kernel))


def _reduce_infer(x: Shape, *, axes: Shape, keepdims: bool) -> Shape:
    expect(bool(axes) and len(set(axes)) == len(axes), f"axes {axes} must be distinct and not empty")
    expect(all(0 <= a < len(x) and x[a] > 0 for a in axes), f"axes {axes} must be axes of {x} other than the batch")
    if keepdims:
        return tuple(1 if a in axes else extent for a, extent in enumerate(x))
    return tuple(extent for a, extent in enumerate(x) if a not in axes)


def _reduce_sum_run(x: np.ndarray, *, axes: Shape, keepdims: bool) -> np.ndarray:
    return np.asarray(x.sum(axis=axes, keepdims=keepdims, dtype=x.dtype))


def _reduce_sum_bound(x: Fact, *, axes: Shape, keepdims: bool) -> Interval:
    """n * hull(0, x): any order of summation stays inside."""
    count, inside = math.prod(x.shape[a] for a in axes), x.range | ZERO
    return Interval(inside.lo * count, inside.hi * count)


def _reduce_max_run(x: np.ndarray, *, axes: Shape, keepdims: bool) -> np.ndarray:
    return np.asarray(x.max(axis=axes, keepdims=keepdims))


def _argmax_infer(x: Shape, *, axis: int) -> Shape:
    return _reduce_infer(x, axes=(axis,), keepdims=False)


def _argmax_run(x: np.ndarray, *, axis: int) -> np.ndarray:
    """Index of the maximum; the lowest index wins a tie."""
    return np.asarray(x.argmax(axis=axis))


POOL_EXAMPLES = (
    Example((Operand((-1, 3, 6, 6)),), {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}),
    Example((Operand((-1, 2, 7, 6)),), {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 2))}),
    Example((Operand((-1, 2, 7)),), {"kernel": (3,), "stride": (1,), "padding": ((1, 0),)}),
)
REDUCE_EXAMPLES = (
    Example((Operand((-1, 3, 4, 5)),), {"axes": (2, 3), "keepdims": True}),
    Example((Operand((-1, 3, 4)),), {"axes": (1,), "keepdims": False}),
)

OPS = {
    "max_pool": Op(_pool_infer, _max_pool_run, lambda x, **_: x.range, POOL_EXAMPLES),
    "sum_pool": Op(_pool_infer, _sum_pool_run, _sum_pool_bound, POOL_EXAMPLES),
    "reduce_sum": Op(_reduce_infer, _reduce_sum_run, _reduce_sum_bound, REDUCE_EXAMPLES),
    "reduce_max": Op(_reduce_infer, _reduce_max_run, lambda x, **_: x.range, REDUCE_EXAMPLES),
    "argmax": Op(
        _argmax_infer,
        _argmax_run,
        lambda x, *, axis: Interval(0, x.shape[axis] - 1),
        (Example((Operand((-1, 10), Interval(-3, 3)),), {"axis": 1}), Example((Operand((-1, 4, 6)),), {"axis": 1})),
    ),
}
