"""GPTQ: each weight rounded so that the weights not yet rounded can make up for it best.

Source: Frantar et al., arXiv 2210.17323, algorithm 1. There the inverse of H is factored, and every error is carried to
all later weights. With H = R R^T, R upper triangular, the squared error is |(w - q) R|**2, whose t-th part holds the
weights up to t only; making each part least in its turn gives the same integers and needs no inverse. That it is so,
and that it is Babai's nearest plane: Chen et al., arXiv 2507.18553.
"""

from __future__ import annotations

import numpy as np

from arithmos.errors import UsageError
from arithmos.quant.feedback import feed_back
from arithmos.quant.gram import Gram
from arithmos.quant.quantiser import Quantiser


def gptq(real: np.ndarray, quantise: Quantiser, matrix: np.ndarray, *, order: np.ndarray | None = None) -> np.ndarray:
    """q_t = quantise(w_t + sum_{s<t} (w_s - q_s) R[s, t] / R[t, t]), H = R R^T: int64, shape of real.

    real: weight / step, shape (groups, rows, d); matrix: H, shape (groups, d, d), positive definite but for inputs
    that are always zero, whose weights are rounded to nearest; damp it before. order: as in `gpfq`. Cost: d**3 / 6 +
    rows * d**2 / 2 multiply-adds a group. Memory: two matrices like H. Raises UsageError for a singular matrix.
    """
    if order is not None:
        inner = matrix[:, order[:, None], order]
        return gptq(real[:, :, order], quantise, inner)[:, :, np.argsort(order)]
    backwards = np.ascontiguousarray(_alive(matrix)[:, ::-1, ::-1])
    try:
        factor = np.linalg.cholesky(backwards, upper=True)
    except np.linalg.LinAlgError:
        raise UsageError(
            "the Gram matrix of the layer's inputs is singular",
            why="its inputs are too few, or depend on each other, and GPTQ divides by what each adds to those after it",
            fix="damp it: a damping of 0.01 adds 1 % of its mean diagonal; or give more calibration images",
        ) from None
    return feed_back(real, quantise, np.ascontiguousarray(factor[:, ::-1, ::-1]))


def corrected(real: np.ndarray, moments: Gram) -> np.ndarray:
    """w' = G^-1 C w: the weights that on the quantised network's inputs come closest to w on the float network's.

    |Y w - X q|**2 = |X (w' - q)|**2 + a constant: a solver of equal inputs solves the two-input problem on w'. real:
    (groups, rows, d); moments damped. Where there is no C, and for inputs that are always zero, w' = w. Raises
    UsageError for a singular matrix. Cost: d**3 / 3 + 2 rows * d**2 multiply-adds a group.
    """
    if moments.cross is None:
        return real
    target = np.matmul(moments.cross, real.transpose(0, 2, 1))
    dead = np.einsum("gii->gi", moments.matrix) <= 0
    target[dead] = real.transpose(0, 2, 1)[dead]
    try:
        found = np.linalg.solve(_alive(moments.matrix), target)
    except np.linalg.LinAlgError:
        raise UsageError(
            "the Gram matrix of the layer's inputs is singular",
            why="its inputs are too few, or depend on each other: the weights that correct for them are not unique",
            fix="damp it: a damping of 0.01 adds 1 % of its mean diagonal; or give more calibration images",
        ) from None
    return np.ascontiguousarray(found.transpose(0, 2, 1))


def _alive(matrix: np.ndarray) -> np.ndarray:
    """The matrix with 1 on its diagonal for inputs that are always zero: their weights cost as much as they differ."""
    alive = matrix.copy()
    diagonal = np.einsum("gii->gi", alive)
    diagonal[diagonal <= 0] = 1
    return alive
