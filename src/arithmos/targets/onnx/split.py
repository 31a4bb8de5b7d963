"""Cut a convolution into parts whose every partial sum is exact in a narrow float."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.ir.interval import ZERO, Interval, interval_of


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A convolution of the input channels first..last-1 with this weight; the parts of one convolution add up to it."""

    weight: np.ndarray
    channels: tuple[int, int]


def any_order(weight: np.ndarray, x: Interval, bias: np.ndarray | None = None) -> Interval:
    """Hull over output channels of every partial sum, in any order, of the products and the bias.

    A sum over some of the products lies between the sum of all lowest and of all highest products, since 0 is in each
    product's range (padding is 0). Python integers: a partial sum may leave int64 where the whole does not, and so may
    the sum of the weights of one sign.
    """
    inside = x | ZERO
    rows = weight.reshape(weight.shape[0], -1)
    # int64 where no sum of the weights can leave it: sums of Python integers are some fifty times slower.
    rows = rows.astype(np.int64 if interval_of(weight).magnitude * max(rows.shape[1], 1) < 1 << 63 else object)
    plus, minus = np.maximum(rows, 0).sum(axis=1).tolist(), np.minimum(rows, 0).sum(axis=1).tolist()
    offsets = [0] * len(plus) if bias is None else bias.tolist()
    lows = (p * inside.lo + m * inside.hi + min(b, 0) for p, m, b in zip(plus, minus, offsets, strict=True))
    highs = (p * inside.hi + m * inside.lo + max(b, 0) for p, m, b in zip(plus, minus, offsets, strict=True))
    return Interval(min(lows), max(highs))


def split(weight: np.ndarray, groups: int, x: Interval, limit: int) -> list[Part]:
    """Parts, each with every partial sum in [-limit, limit]; [] if a single product already exceeds it.

    weight: (out, in / groups, kernel...), all partial sums below 2**62 (see any_order). Greedy over input channels;
    within a channel over the taps of the kernel, the rest of the weight is 0 then. With groups each part reads all
    channels.
    """
    rows = weight.reshape(weight.shape[0], -1)
    low, high = _products(rows, x)
    # ends[o, j]: sum of the first j products of output channel o at their extremes; monotone, so it can be searched.
    zero = np.zeros((rows.shape[0], 1), dtype=np.int64)
    highs = np.concatenate([zero, np.cumsum(high, axis=1)], axis=1)
    lows = np.concatenate([zero, np.cumsum(-low, axis=1)], axis=1)
    taps, n = rows.shape[1] // weight.shape[1], rows.shape[1]
    parts: list[Part] = []
    start = 0
    while start < n:
        end = min(int(np.searchsorted(row, row[start] + limit, side="right")) - 1 for row in (*highs, *lows))
        if end == start:
            return []
        whole_channels = end // taps * taps
        end = whole_channels if start < whole_channels < n else end
        parts.append(_part(weight, groups, start, end))
        start = end
    return parts


def _products(rows: np.ndarray, x: Interval) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest product of each weight with the input or its zero padding, int64."""
    wide, inside = rows.astype(np.int64), x | ZERO
    a, b = wide * inside.lo, wide * inside.hi
    return np.minimum(a, b), np.maximum(a, b)


def _part(weight: np.ndarray, groups: int, start: int, end: int) -> Part:
    taps, n = weight[0, 0].size, weight[0].size
    inside = (np.arange(n) >= start) & (np.arange(n) < end)
    masked = np.where(inside, weight.reshape(weight.shape[0], n), 0).reshape(weight.shape).astype(weight.dtype)
    if groups > 1:
        return Part(masked, (0, weight.shape[1] * groups))
    first, last = start // taps, -(-end // taps)
    return Part(masked[:, first:last], (first, last))
