"""GPFQ and SPFQ: greedy path following, each weight rounded so that the output so far follows the float network's.

    u_t = u_{t-1} + w_t Y_t - q_t X_t,  q_t = quantise(<X_t, u_{t-1} + w_t Y_t> / |X_t|**2)

X, Y: the layer's inputs in the quantised and in the float network, one column a weight. Source: Lybrand & Saab, arXiv
2010.15979 (X = Y); Zhang, Zhou & Saab, arXiv 2201.11113 (two inputs, thresholds); with a stochastic quantiser it is
SPFQ, Zhang & Saab, arXiv 2309.10975.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arithmos.quant.feedback import feed_back, solved
from arithmos.quant.gram import Gram, reordered
from arithmos.quant.quantiser import Quantiser

WIDTH = 32
"""Columns solved between two passes over the vectors: measured quickest of 16 to 64."""


def gpfq(real: np.ndarray, quantise: Quantiser, moments: Gram, *, order: np.ndarray | None = None) -> np.ndarray:
    """q_t = quantise((sum_{s<=t} w_s C[t, s] - sum_{s<t} q_s G[t, s]) / G[t, t]): int64, shape of real.

    The recursion with every u_t written out, G = E[x x^T], C = E[x y^T]: no sample is left in it. quantise(0) for an
    input that is always zero. real: weight / step, shape (groups, rows, d); order: the columns in the order in which
    they are rounded, natural where None. Cost and memory: `feed_back`; with an order also a copy of the moments.
    """
    if order is not None:
        return gpfq(real[:, :, order], quantise, reordered(moments, order))[:, :, np.argsort(order)]
    return feed_back(real, quantise, moments.matrix, moments.cross)


def gpfq_vectors(
    weight: np.ndarray,
    steps: np.ndarray,
    quantise: Quantiser,
    batches: Sequence[tuple[np.ndarray, ...]],
    *,
    order: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The integers of `gpfq` from the vectors themselves, and |w y - step q x|**2 of each row, (groups, rows).

    weight: (groups, rows, d); steps: (groups, rows). batches: (x,), or (x, y), each (groups, n, d); all are read once
    for every block of columns: quickest where each number of a vector lies in a row of its own. The residual u of all
    rows is multiplied by the block, the block solved on its own small Gram matrix, u brought up to date. Cost: (3 rows
    + 1.5 WIDTH) * n * d multiply-adds a group, in the batches' own type; sums over batches in float64. Memory: groups *
    rows * n numbers.
    """
    d = weight.shape[2]
    q = np.empty(weight.shape, dtype=np.int64)
    u = [np.zeros((*steps.shape, x.shape[1]), x.dtype) for x, *_ in batches]
    for first in range(0, d, WIDTH):
        here = slice(first, first + WIDTH) if order is None else order[first : first + WIDTH]
        seen = [tuple(v.transpose(0, 2, 1)[:, here] for v in batch) for batch in batches]
        real = weight[:, :, here] / steps[:, :, None]
        products = (_products(batch[0], batch[-1], rest) for batch, rest in zip(seen, u, strict=True))
        past, matrix, cross = (np.asarray(sum(parts)) for parts in zip(*products, strict=True))
        found = solved(past + np.matmul(np.tril(cross), real.transpose(0, 2, 1)), quantise, matrix)
        q[:, :, here] = found.transpose(0, 2, 1)
        meant, made = (rows.astype(u[0].dtype) for rows in (real, q[:, :, here]))
        for batch, rest in zip(seen, u, strict=True):
            rest += np.matmul(meant, batch[-1])
            rest -= np.matmul(made, batch[0])
    left = sum(np.einsum("grn,grn->gr", rest, rest, dtype=np.float64) for rest in u)
    return q, np.asarray(np.square(steps) * left)


def _products(x: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, ...]:
    """<x_t, u>, (groups, columns, rows), and the block's <x_t, x_s> and <x_t, y_s>, in float64."""
    others = (u, x) if y is x else (u, x, y)
    found = [np.matmul(x, other.transpose(0, 2, 1)).astype(np.float64) for other in others]
    return found[0], found[1], found[-1]
