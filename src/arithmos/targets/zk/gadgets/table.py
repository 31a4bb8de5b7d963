"""entries[x] as the polynomial in the bits of x that runs through them.

Constraints of a row, n bits, l = n // 2 low ones, h = n - l high ones, k columns (a row of a matrix has several):
n + (2**h - h - 1) + (2**l - l - 1) + k * (2**l - 1): bits, products of high bits, products of low bits, and one product
for each non-empty set of low bits with its combination of high products. 256 entries: 45.

Why there is no second witness. The bits of x are determined (see requantize); each product of bits is one number, and
so is the sum. Entries beyond the table are 0: x is proven to be inside, so they are never chosen.
"""

from __future__ import annotations

import numpy as np

from arithmos.targets.zk.combination import Signal, weighted
from arithmos.targets.zk.system import System


def constraints(n: int, columns: int = 1) -> int:
    """Constraints of a row."""
    low, high = n // 2, n - n // 2
    return n + (1 << high) - high - 1 + (1 << low) - low - 1 + columns * ((1 << low) - 1)


def lookup(c: System, x: Signal, entries: np.ndarray) -> list[Signal]:
    """The columns of entries[x]: x in 0 .. entries.shape[0] - 1, entries (2**n, columns)."""
    n = (entries.shape[0] - 1).bit_length()
    bits = c.bits(x, n)
    if not bits:
        return [x * 0 + int(entry) for entry in entries[0]]
    n_low = n // 2
    low, high = _products(c, bits[:n_low], x), _products(c, bits[n_low:], x)
    padded = np.zeros((1 << n, entries.shape[1]), np.int64)
    padded[: entries.shape[0]] = entries
    result = []
    for column in padded.T:
        weights = _moebius(column).reshape(len(high), len(low))
        parts = [_weighted(high, weights[:, 0])]
        parts += [c.product(low[j], _weighted(high, weights[:, j])) for j in range(1, len(low))]
        result.append(weighted(parts, [1] * len(parts)))
    return result


def _products(c: System, bits: list[Signal], like: Signal) -> list[Signal]:
    """The product of every set of bits, the empty one first: place i is the set of the bits of i."""
    found = [like * 0 + 1]
    for bit in bits:
        found += [bit if i == 0 else c.product(item, bit) for i, item in enumerate(found)]
    return found


def _weighted(parts: list[Signal], weights: np.ndarray) -> Signal:
    """Zero weights left out."""
    kept = [i for i in range(len(parts)) if weights[i] or i == 0]
    return weighted([parts[i] for i in kept], [int(weights[i]) for i in kept])


def _moebius(values: np.ndarray) -> np.ndarray:
    """Coefficients of the multilinear polynomial with these values at the corners of the cube."""
    result, step = values.copy(), 1
    while step < result.size:
        pairs = result.reshape(-1, 2, step)
        pairs[:, 1] -= pairs[:, 0]
        step *= 2
    return result
