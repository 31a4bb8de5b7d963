"""GPTQ: each weight rounded so that the weights not yet rounded can make up for it best.

Source: Frantar et al., arXiv 2210.17323, algorithm 1. There the inverse of H is factored, and every error is carried to
all later weights. With H = R R^T, R upper triangular, the squared error is |(w - q) R|**2, whose t-th part holds the
weights up to t only; making each part least in its turn gives the same integers and needs no inverse. That it is so,
and that it is Babai's nearest plane: Chen et al., arXiv 2507.18553.
"""

from __future__ import annotations

import numpy as np

from arithmos.errors import UsageError
from arithmos.quant.feedback import BLOCK, feed_back
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
    return feed_back(real, quantise, factored(matrix))


def factored(matrix: np.ndarray) -> np.ndarray:
    """L = R^T, lower triangular, with H = L^T L: (groups, d, d). 1 on the diagonal for inputs that are always zero.

    Raises UsageError where a pivot is 0 in float64: |L_tt|**2 <= d * 2**-52 * H_tt.
    """
    alive = _alive(matrix)
    try:
        factor = np.linalg.cholesky(np.ascontiguousarray(alive[:, ::-1, ::-1]), upper=True)[:, ::-1, ::-1]
        pivots = np.square(np.einsum("gii->gi", factor))
        singular = bool((pivots <= matrix.shape[1] * 2.0**-52 * np.einsum("gii->gi", alive)).any())
    except np.linalg.LinAlgError:
        singular = True
    if singular:
        raise UsageError(
            "the Gram matrix of the layer's inputs is singular",
            why="its inputs are too few, or depend on each other: what each adds to the others is not unique",
            fix="damp it: a damping of 0.01 adds 1 % of its mean diagonal; or give more calibration images",
        )
    return np.ascontiguousarray(factor)


def corrected(real: np.ndarray, moments: Gram) -> np.ndarray:
    """w' = G^-1 C w: the weights that on the quantised network's inputs come closest to w on the float network's.

    |Y w - X q|**2 = |X (w' - q)|**2 + a constant: a solver of equal inputs solves the two-input problem on w'. real:
    (groups, rows, d); moments damped. Where there is no C, and for inputs that are always zero, w' = w. Raises
    UsageError for a singular matrix. Cost: d**3 / 6 + 2 rows * d**2 multiply-adds a group.
    """
    if moments.cross is None:
        return real
    turned = real.transpose(0, 2, 1)
    target = np.matmul(moments.cross, turned)
    dead = np.einsum("gii->gi", moments.matrix) <= 0
    target[dead] = turned[dead]
    lower = factored(moments.matrix)
    upper, d = lower.transpose(0, 2, 1), lower.shape[1]
    blocks = [slice(first, min(first + BLOCK, d)) for first in range(0, d, BLOCK)]
    for here in reversed(blocks):  # L^T z = C w
        target[:, here] -= np.matmul(upper[:, here, here.stop :], target[:, here.stop :])
        target[:, here] = np.linalg.solve(upper[:, here, here], target[:, here])
    for here in blocks:  # L w' = z
        target[:, here] -= np.matmul(lower[:, here, : here.start], target[:, : here.start])
        target[:, here] = np.linalg.solve(lower[:, here, here], target[:, here])
    return np.ascontiguousarray(target.transpose(0, 2, 1))


def _alive(matrix: np.ndarray) -> np.ndarray:
    """The matrix with 1 on its diagonal for inputs that are always zero: their weights cost as much as they differ."""
    alive = matrix.copy()
    diagonal = np.einsum("gii->gi", alive)
    diagonal[diagonal <= 0] = 1
    return alive
