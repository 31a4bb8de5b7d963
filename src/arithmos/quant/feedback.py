"""Rounding with feedback: column after column, each takes up what the rounding of those before it has left."""

from __future__ import annotations

import numpy as np

from arithmos.quant.quantiser import Quantiser

BLOCK = 64
"""Columns solved one by one between two matrix products: all but 64 / d of the work is a product of matrices."""


LEAST = 1e-200
"""An input of less energy counts as always zero: no quotient overflows."""


def feed_back(real: np.ndarray, quantise: Quantiser, matrix: np.ndarray, cross: np.ndarray | None = None) -> np.ndarray:
    """q_t = quantise((sum_{s<=t} w_s C[t, s] - sum_{s<t} q_s G[t, s]) / G[t, t]), t = 0 ... d - 1; int64 like real.

    quantise(0) where G[t, t] is 0 or below LEAST. real: (groups, rows, d), in steps; matrix G and cross C: (groups, d,
    d), of which only the lower triangles are read; C = G where cross is None. quantise gets the levels of all rows at a
    time, (groups, rows). In float64; rows * d**2 multiply-adds a group, half of it without cross. Blocks of columns
    take the past from one product of matrices. Memory: two arrays like real.
    """
    w = np.ascontiguousarray(real.transpose(0, 2, 1), dtype=np.float64)
    q = np.empty_like(w)
    left = w.copy() if cross is None else w  # what is still to be made up for: w - q of equal inputs
    for first in range(0, w.shape[1], BLOCK):
        here, past = slice(first, first + BLOCK), slice(0, first)
        g = matrix[:, here]
        c = g if cross is None else cross[:, here]
        wanted = np.matmul(np.tril(c[:, :, here]), w[:, here]) + np.matmul(c[:, :, past], left[:, past])
        if cross is not None:
            wanted -= np.matmul(g[:, :, past], q[:, past])
        q[:, here] = solved(wanted, quantise, g[:, :, here])
        if cross is None:
            left[:, here] -= q[:, here]
    return np.ascontiguousarray(q.transpose(0, 2, 1)).astype(np.int64)


def solved(wanted: np.ndarray, quantise: Quantiser, g: np.ndarray) -> np.ndarray:
    """q_t = quantise((wanted_t - sum_{s<t} q_s G[t, s]) / G[t, t]), one column after the other; float64.

    wanted: (groups, columns, rows); g: (groups, columns, columns).
    """
    diagonal = np.einsum("gii->ig", g)[:, :, None]
    inverse = np.divide(1.0, diagonal, out=np.zeros(diagonal.shape), where=diagonal > LEAST)
    q = np.empty_like(wanted)
    for t in range(wanted.shape[1]):
        level = wanted[:, t]
        if t:
            level = level - np.matmul(g[:, t : t + 1, :t], q[:, :t])[:, 0]
        q[:, t] = quantise(level * inverse[t])
    return q
