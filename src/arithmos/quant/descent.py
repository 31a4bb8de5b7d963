"""Coordinate descent: integer weights that lower the squared error of a layer's outputs, one column at a time."""

from __future__ import annotations

import numpy as np

from arithmos.quant.quantiser import Quantiser

BLOCK = 64
"""Columns changed one by one between two matrix products."""


LEAST, MOST = 1e-15, 1e20
"""Shares of the mean energy: an input of less counts as always zero, a residual of more as so much. No quotient then
overflows in float32."""


def descend(
    real: np.ndarray,
    start: np.ndarray,
    quantise: Quantiser,
    matrix: np.ndarray,
    *,
    cross: np.ndarray | None = None,
    sweeps: int = 5,
    keep_zeros: bool = False,
) -> np.ndarray:
    """Integers Q that lower E|V y - Q x|**2 of every row, from `start`, in the order of the columns.

    Column t alone is best at quantise(Q_t + R_t / G_tt), R = V C^T - Q G: with the nearest level, and a start on the
    levels, no change ever raises the error. real: V = weight / step, shape (groups, rows, d); matrix: G = E[x x^T],
    shape (groups, d, d), positive semi-definite; cross: C = E[x y^T], G where None. keep_zeros: what is 0 stays 0.
    Inputs that are always zero leave their weights alone. The cost is sweeps * rows * d**2 multiply-adds a group, in
    float32. A sweep without a change is the last.
    """
    size = np.einsum("gii->g", matrix) / matrix.shape[1]
    unit = np.exp2(-np.floor(np.log2(np.where(size > 0, size, 1))))[:, None, None]  # exact: float32 holds any energy
    g = (matrix * unit).astype(np.float32)
    v, q = (np.ascontiguousarray(a.transpose(0, 2, 1), dtype=np.float32) for a in (real, start))
    aim = None if cross is None else np.matmul(cross, real.transpose(0, 2, 1)) * unit
    diagonal = np.einsum("gii->gi", g)[:, :, None]
    alive = diagonal > LEAST
    inverse = np.divide(1.0, diagonal, out=np.zeros(diagonal.shape, np.float32), where=alive)
    free = alive & ((q != 0) | (not keep_zeros))
    left = v - q
    for _ in range(sweeps):
        changed = False
        for first in range(0, v.shape[1], BLOCK):
            here = slice(first, first + BLOCK)
            if aim is None:
                residual = np.matmul(g[:, here], left)
            else:
                residual = np.clip(aim[:, here] - np.matmul(g[:, here], q), -MOST, MOST).astype(np.float32)
            moves = _moves(residual, q[:, here], quantise, g[:, here, here], inverse[:, here], free[:, here])
            if moves.any():
                changed = True
                q[:, here] += moves
                left[:, here] = v[:, here] - q[:, here]
        if not changed:
            break
    return np.ascontiguousarray(q.transpose(0, 2, 1)).astype(np.int64)


def _moves(
    residual: np.ndarray, q: np.ndarray, quantise: Quantiser, g: np.ndarray, inverse: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """What each column of a block changes by, one after the other; everything (groups, columns, rows)."""
    moves = np.empty_like(q)
    for t in range(q.shape[1]):
        error = residual[:, t]
        if t:
            error = error - np.matmul(g[:, t : t + 1, :t], moves[:, :t])[:, 0]
        best = quantise(q[:, t] + error * inverse[:, t])
        moves[:, t] = np.where(free[:, t], best - q[:, t], 0)
    return moves
