"""Coordinate descent: integer weights that lower the squared error of a layer's outputs, one column at a time."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval

BLOCK = 64
"""Columns whose changes are carried to all others by one matrix product."""


def descend(real: np.ndarray, start: np.ndarray, levels: Interval, gram: np.ndarray, *, sweeps: int = 5) -> np.ndarray:
    """Integers Q that lower (V - Q) G (V - Q)^T of every row, from `start`, in the order of the columns.

    Column t alone is best at Q_t + R_t / G_tt, R = (V - Q) G, rounded and clipped: no change ever raises the error.
    real: V = weight / step, shape (groups, rows, d); gram: (groups, d, d), positive semi-definite. The cost is
    sweeps * rows * d**2 multiply-adds a group. A sweep without a change is the last.
    """
    g, v = gram.astype(np.float32), real.astype(np.float32)
    q = start.astype(np.float32)
    diagonal = np.einsum("gii->gi", g)
    alive = diagonal > 0
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=alive)
    d = v.shape[2]
    for _ in range(sweeps):
        residual = np.matmul(v - q, g)  # afresh in every sweep: rounding errors do not pile up
        changed = False
        for first in range(0, d, BLOCK):
            last = min(first + BLOCK, d)
            change = np.zeros((*q.shape[:2], last - first), dtype=np.float32)
            for t in range(first, last):
                best = np.floor(q[:, :, t] + residual[:, :, t] * inverse[:, None, t] + np.float32(0.5))
                np.clip(best, levels.lo, levels.hi, out=best)
                move = np.where(alive[:, None, t], best - q[:, :, t], 0)
                change[:, :, t - first] = move
                residual[:, :, t:last] -= move[:, :, None] * g[:, t : t + 1, t:last]
                q[:, :, t] += move
            if change.any():
                changed = True
                residual[:, :, last:] -= np.matmul(change, g[:, first:last, last:])
        if not changed:
            break
    return q.astype(np.int64)
