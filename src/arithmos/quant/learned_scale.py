"""Learned scale: the step that fits given integers best, in closed form."""

from __future__ import annotations

import numpy as np

from arithmos.quant.gram import Gram


def best_scale(real: np.ndarray, integers: np.ndarray, moments: Gram, *, shared: bool = False) -> np.ndarray:
    """argmin_a E|w y - a q x|**2 = (w C^T q) / (q G q) of every row: the factor for its step. Shape (groups, rows).

    real: weight / step, shape (groups, rows, d); integers alike. 1 where q G q is 0 or the factor is not positive: no
    scale makes those integers better. shared: one factor for all rows, whose steps are equal: both sums over all of
    them. Only the multiplier behind the layer changes, never an integer. Source: the scale of Beacon, Zhang & Saab,
    arXiv 2508.20293.
    """
    q = integers.astype(np.float64)
    cross = moments.matrix if moments.cross is None else moments.cross
    along = (np.matmul(q, cross) * real).sum(axis=2)
    size = (np.matmul(q, moments.matrix) * q).sum(axis=2)
    if shared:
        along, size = (np.full_like(part, part.sum()) for part in (along, size))
    factor = np.divide(along, size, out=np.ones_like(size), where=size > 0)
    return np.where(factor > 0, factor, 1.0)
