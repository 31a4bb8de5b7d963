"""Rounding of one layer's weights: to nearest, or learned on the Gram matrix of its inputs."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.lower.choice import WeightGrid
from arithmos.lower.derived import along
from arithmos.quant.adaround import adaround
from arithmos.quant.descent import descend
from arithmos.quant.gram import Gram
from arithmos.quant.rtn import round_to_nearest

DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: directions that the samples do not show still cost something."""


WIDEST = 8192
"""Layers of more columns keep their nearest integers: a Gram matrix of 8192 columns takes 0.5 GB in float64."""


def nearest(weight: np.ndarray, steps: np.ndarray, chosen: WeightGrid) -> np.ndarray:
    """The weights rounded to nearest by other steps."""
    return round_to_nearest(weight, steps, chosen.levels, odd=chosen.odd)


def learned(weight: np.ndarray, chosen: WeightGrid, moments: Gram, rounding: str) -> np.ndarray:
    """Integers on the grid of `chosen` by "descent", or by "adaround" and descent from there; int64, weight's shape.

    A row whose error is larger than that of the integers it started from keeps those, and so does a layer of more than
    WIDEST columns. Odd levels 2 k + 1 are searched as the levels k of (real - 1) / 2.
    """
    groups = len(moments.matrix)
    shape = (groups, len(weight) // groups, -1)
    real = (weight / along(chosen.steps, -weight.ndim)).reshape(shape)
    start, levels = chosen.integers.reshape(shape), chosen.levels
    if chosen.odd:
        real, start, levels = (real - 1) / 2, (start - 1) // 2, Interval((levels.lo - 1) // 2, (levels.hi - 1) // 2)
    matrix = moments.matrix.copy()
    diagonal = np.einsum("gii->gi", matrix)
    diagonal += DAMPING * diagonal.mean(axis=1, keepdims=True)
    found = descend(real, adaround(real, levels, matrix) if rounding == "adaround" else start, levels, matrix)
    better = squared_error(real - found, matrix) <= squared_error(real - start, matrix)
    best = np.where(better[:, :, None], found, start).reshape(weight.shape)
    return 2 * best + 1 if chosen.odd else best


def squared_error(error: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """e G e^T of every row: shape (groups, rows)."""
    return np.asarray((np.matmul(error, matrix) * error).sum(axis=2))
