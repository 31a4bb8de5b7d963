"""Steps of weights: the published one of a whole layer, and the one of each row that costs its outputs least."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.quant.quantiser import nearest

WIDTH = 256
"""Columns of a product with half of a Gram matrix: wide enough for a BLAS, narrow enough to leave the half out."""

SMALLEST = 0.4
"""The smallest step that is tried, as a share of the one that reaches the largest weight: tuned, and reached often at 1
bit. Feedback wants wider levels than rounding to nearest does (ResNet-20, GPFQ, 1 bit: 50 % top-1, 17 % from 0.1 on).
"""

COARSE, FINER = np.linspace(1.0, SMALLEST, 7), (0.04, 0.02)
"""The shares that are tried first, and how far from the best of them the next ones are."""


def published_step(
    rows: np.ndarray, scalar: float, percentile: float, last_level: int, factors: np.ndarray | None = None
) -> float:
    """scalar / K * mean over rows of quantile_percentile(|w_row|): one step for all rows of a layer, K = last_level.

    rows: (rows, ...); percentile in [0, 1], 1 being the largest weight of each row, in between interpolated linearly.
    factors: (rows,), what each row was multiplied by since (a batch norm that was folded into it); the step is that of
    rows / factors, and a row's own step is |factor| times it. Source: the code published
    with Zhang, Zhou & Saab, arXiv 2201.11113. 0 for a layer of zeros.
    """
    magnitude = np.abs(rows.reshape(len(rows), -1), dtype=np.float64)
    ranges = np.quantile(magnitude, percentile, axis=1)
    if factors is not None:
        size = np.abs(factors, dtype=np.float64)
        ranges = np.divide(ranges, size, out=np.zeros_like(ranges), where=size > 0)
    return float(scalar / last_level * ranges.mean())


def hessian_steps(
    weight: np.ndarray, matrix: np.ndarray, levels: Interval, *, odd: bool = False, shared: bool = False
) -> np.ndarray:
    """The s of least (w - s q) G (w - s q)^T, q = nearest(w / s), among 11 for every row: shape (groups, rows).

    Over shares of max|w| / last level: 1, 0.9 ... 0.4 first, then around the best of them by 0.04 and by 0.02; the
    largest where all cost the same. weight: (groups, rows, d); matrix: (groups, d, d). shared: one step for all rows of
    all groups, that of the least summed error. A row of zeros gets the step that `without_zeros` gives it. Cost: 11 *
    rows * d**2 / 2 multiply-adds a group, in float32. Source: the squared error of the layer's outputs in place of the
    weights' (Nagel et al., arXiv 2106.08295, section 3.1), with the Gram matrix of its inputs.
    """
    w = weight.astype(np.float32)
    size = np.einsum("gii->g", matrix) / matrix.shape[1]
    g = _folded(matrix, np.where(size > 0, size, 1.0)[:, None, None])
    top = np.abs(w).max(axis=2).astype(np.float64) / levels.hi
    if shared:
        top = np.full_like(top, top.max(initial=0))
    rounded = nearest(levels, odd=odd)
    best, least = np.ones(top.shape), np.full(top.shape, np.inf)
    for around in (None, *FINER):
        centre = best
        for share in COARSE if around is None else np.clip((centre + around, centre - around), SMALLEST, 1.0):
            step = np.where(top > 0, share * top, 1.0).astype(np.float32)[:, :, None]
            error = rounded(w / step)
            error *= -step
            error += w
            cost = _quadratic(error, g)
            if shared:
                cost = np.full_like(cost, (cost * size[:, None]).sum())
            better = cost < least
            best, least = np.where(better, share, best), np.where(better, cost, least)
    return without_zeros(best * top, odd=odd)


def without_zeros(steps: np.ndarray, *, odd: bool = False) -> np.ndarray:
    """The steps with the largest of them in place of each 0, or 1 where all are 0; of any shape, in float64.

    odd: 2**-24 of it: where 0 is no level, a row of zeros becomes a row of +-step.
    """
    stands = (steps.max(initial=0) or 1.0) * (2.0**-24 if odd else 1.0)
    return np.where(steps == 0, stands, steps.astype(np.float64))


def _folded(matrix: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The upper triangle of G / unit, doubled off the diagonal, in float32: e folded e^T = e (G / unit) e^T with half
    the products."""
    upper = np.empty(matrix.shape, np.float32)
    np.divide(matrix, unit / 2, out=upper, casting="same_kind")
    for rows in upper:
        for i, row in enumerate(rows):
            row[:i] = 0
            row[i] /= 2
    return upper


def _quadratic(e: np.ndarray, folded: np.ndarray) -> np.ndarray:
    """e G e^T of every row in float64, (groups, rows): block of columns by block, the zeros below each left out."""
    cost = np.zeros(e.shape[:2])
    for first in range(0, e.shape[2], WIDTH):
        here, until = slice(first, first + WIDTH), slice(0, first + WIDTH)
        product = np.matmul(e[:, :, until], folded[:, until, here])
        cost += (product * e[:, :, here]).sum(axis=2, dtype=np.float64)
    return cost
