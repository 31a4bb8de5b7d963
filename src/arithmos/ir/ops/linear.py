"""Sums of products: conv, linear, matmul."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from arithmos.ir.graph import Shape
from arithmos.ir.interval import ZERO, Interval, span
from arithmos.ir.ops.op import Example, Fact, Op, Operand, broadcast, expect
from arithmos.ir.ops.window import Pairs, window_count

WEIGHT = Interval(-127, 127)
ROWS = 64


def _conv_infer(
    x: Shape, w: Shape, b: Shape | None = None, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Shape:
    expect(
        len(x) >= 3 and len(w) == len(x), f"conv takes (batch, channel, space...) and as many weight axes, got {x}, {w}"
    )
    expect(w[1] * groups == x[1], f"input has {x[1]} channels, weight {w} with {groups} groups wants {w[1] * groups}")
    expect(w[0] % groups == 0, f"{w[0]} output channels do not divide into {groups} groups")
    expect(b is None or b == (w[0],), f"bias must have shape ({w[0]},), got {b}")
    space = window_count(x[2:], w[2:], stride, padding, dilation)
    return (x[0], w[0], *space)


def _conv_run(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """y[o, p] = b[o] + sum over c, k of w[o, c, k] * x[c, p * stride + k * dilation - padding]."""
    n, rank = x.shape[0], x.ndim - 2
    reach = tuple((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    steps = tuple(slice(None, None, s) for s in stride) + tuple(slice(None, None, d) for d in dilation)
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    rows = w.reshape(groups, w.shape[0] // groups, -1)
    space = window_count(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = np.empty((n, w.shape[0], *space), dtype=x.dtype)
    for image, out in zip(
        padded, y, strict=True
    ):  # one image at a time: the unfolded windows are the memory that counts
        windows = sliding_window_view(image, reach, axis=tuple(range(1, rank + 1)))[(slice(None), *steps)]
        columns = np.moveaxis(windows, range(1, rank + 1), range(-rank, 0)).reshape(groups, rows.shape[2], -1)
        out[...] = np.matmul(rows, columns).reshape(out.shape)
    if b is not None:
        y += b.reshape(-1, *[1] * rank)
    return y


def _weighted_bound(x: Interval, rows: np.ndarray, bias: np.ndarray | None) -> Interval:
    """Hull over output channels of b + sum(max(w, 0)) * [lo, hi] + sum(min(w, 0)) * [lo, hi].

    The range of x is widened to hold 0 (padding is 0): every partial sum that starts from the bias stays inside too.
    """
    x = x | ZERO
    flat = rows.reshape(rows.shape[0], -1)
    plus, minus = _row_sums(flat, np.maximum), _row_sums(flat, np.minimum)
    offsets = [0] * len(plus) if bias is None else bias.tolist()
    lows = [b + p * x.lo + m * x.hi for p, m, b in zip(plus, minus, offsets, strict=True)]
    highs = [b + p * x.hi + m * x.lo for p, m, b in zip(plus, minus, offsets, strict=True)]
    return span(lows) | span(highs)


def _row_sums(rows: np.ndarray, side: np.ufunc) -> list[int]:
    """Sums of max(w, 0) or min(w, 0), exact at any size: where int64 might not hold one, the halves of 32 bits are
    summed apart, each below 2**63 for rows of under 2**31 numbers. Some rows at a time: layers of 100 million weights
    exist."""
    sums: list[int] = []
    for start in range(0, len(rows), ROWS):
        part = side(rows[start : start + ROWS].astype(np.int64, copy=False), 0)
        if max(int(part.max(initial=0)), -int(part.min(initial=0))) * part.shape[1] < 1 << 62:
            sums += part.sum(axis=1).tolist()
            continue
        high, low = (part >> 32).sum(axis=1).tolist(), (part & 0xFFFFFFFF).sum(axis=1).tolist()
        sums += [(upper << 32) + lower for upper, lower in zip(high, low, strict=True)]
    return sums


def _constant(fact: Fact, what: str) -> np.ndarray:
    expect(fact.array is not None, f"the {what} must be a constant")
    assert fact.array is not None
    return fact.array


def _conv_bound(x: Fact, w: Fact, b: Fact | None = None, **_: object) -> Interval:
    return _weighted_bound(x.range, _constant(w, "weight"), None if b is None else _constant(b, "bias"))


def _linear_infer(x: Shape, w: Shape, b: Shape | None = None) -> Shape:
    expect(len(w) == 2 and len(x) >= 1 and x[-1] == w[1], f"input {x} ends in {x[-1:]}, weight {w} takes {w[1:]}")
    expect(b is None or b == (w[0],), f"bias must have shape ({w[0]},), got {b}")
    return (*x[:-1], w[0])


def _linear_run(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    y = np.matmul(x, w.T)
    return np.asarray(y if b is None else y + b)


def _matmul_infer(a: Shape, b: Shape) -> Shape:
    expect(len(a) >= 2 and len(b) >= 2 and a[-1] == b[-2], f"matmul of {a} and {b}: inner extents differ")
    expect(a[-1] > 0, f"matmul of {a} and {b} sums over the batch")
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])


def _matmul_bound(a: Fact, b: Fact) -> Interval:
    """K * hull(0, a * b): any order of summation stays inside."""
    product = (a.range * b.range) | ZERO
    return Interval(product.lo * a.shape[-1], product.hi * a.shape[-1])


def _conv_example(x: Shape, w: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int = 1) -> Example:
    operands = (Operand(x), Operand(w, WEIGHT, constant=True), Operand((w[0],), Interval(-5000, 5000), constant=True))
    return Example(operands, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})


OPS = {
    "conv": Op(
        _conv_infer,
        _conv_run,
        _conv_bound,
        (
            _conv_example((-1, 3, 7, 6), (5, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
            _conv_example((-1, 4, 9, 8), (6, 2, 3, 2), (2, 1), ((0, 1), (2, 0)), (1, 2), groups=2),
            _conv_example((-1, 6, 5, 5), (6, 1, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), groups=6),
            _conv_example((-1, 4, 11), (3, 4, 3), (2,), ((2, 0),), (2,)),
            Example(
                (Operand((-1, 2, 4, 4), Interval(0, 255)), Operand((3, 2, 1, 1), WEIGHT, constant=True)),
                {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1},
            ),
        ),
    ),
    "linear": Op(
        _linear_infer,
        _linear_run,
        _conv_bound,
        (
            Example((Operand((-1, 7)), Operand((5, 7), WEIGHT, constant=True), Operand((5,), WEIGHT, constant=True))),
            Example((Operand((-1, 4, 6), Interval(0, 255)), Operand((3, 6), WEIGHT, constant=True))),
        ),
    ),
    "matmul": Op(
        _matmul_infer,
        np.matmul,
        _matmul_bound,
        (
            Example((Operand((-1, 2, 4, 3)), Operand((-1, 2, 3, 5)))),
            Example((Operand((-1, 4, 3)), Operand((3, 2), constant=True))),
        ),
    ),
}
