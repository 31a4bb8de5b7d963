"""Exact sums of products at the speed of floating point: conv, linear and matmul by BLAS where it cannot round.

With K products in each sum, every partial sum in any order is at most K * max|x| * max|w| + max|b|. Where that is below
2**53, float64 holds each of them exactly, and BLAS gives the integers that the interpreter's own rows give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from arithmos.ir.ops import INT
from arithmos.ir.ops.op import Op

LENGTHS: dict[str, Callable[[np.ndarray, np.ndarray], int]] = {
    "conv": lambda x, w: w[0].size,
    "linear": lambda x, w: w.shape[1],
    "matmul": lambda x, w: x.shape[-1],
}
"""op -> how many products there are in each of its sums."""


def exact(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, length: int) -> bool:
    """Whether float64 holds every partial sum."""
    offset = 0 if bias is None else _largest(bias)
    return length * _largest(x) * _largest(w) + offset < 1 << 53


def _largest(array: np.ndarray) -> int:
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def _by_blas(op: str) -> Op:
    row = INT[op]

    def run(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, **attrs: Any) -> np.ndarray:
        arrays = [x, w] if bias is None else [x, w, bias]
        if not exact(x, w, bias, LENGTHS[op](x, w)):
            return np.asarray(row.run(*arrays, **attrs))
        return np.asarray(row.run(*(array.astype(np.float64) for array in arrays), **attrs)).astype(np.int64)

    return replace(row, run=run)


EXACT: Mapping[str, Op] = {**INT, **{op: _by_blas(op) for op in LENGTHS}}
"""The int op set with these rows."""
