"""Odd Chebyshev series sum_j c_j T_{2j+1}(y) on [-1, 1]: values, slopes, basis, largest value, change of range."""

from __future__ import annotations

import numpy as np


def values(coefficients: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p(y) = sum_j c_j T_{2j+1}(y), by Clenshaw's recurrence in steps of two.

    T_{n+2} = (4y^2 - 2) T_n - T_{n-2}, so that only odd terms are ever formed. Any shape of y; float64. Clenshaw, A
    note on the summation of Chebyshev series, MTAC 9 (1955), for the subsequence of odd indices.
    """
    z = 4 * y * y - 2
    first = second = np.zeros_like(z)
    for c in coefficients[:0:-1]:
        first, second = z * first - second + c, first
    return np.asarray(y * (coefficients[0] - second + (z - 1) * first))


def basis(n: int, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T_1, T_3, ..., T_{2n-1} at y and their derivatives, each of shape (points, n)."""
    z, slope_of_z = 4 * y * y - 2, 8 * y
    before, now = y, y
    slope_before, slope = np.ones_like(y), np.ones_like(y)
    rows, slopes = [now], [slope]
    for _ in range(n - 1):
        slope_before, slope = slope, z * slope + slope_of_z * now - slope_before
        before, now = now, z * now - before
        rows.append(now)
        slopes.append(slope)
    return np.stack(rows, axis=1), np.stack(slopes, axis=1)


def bend(coefficients: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p''(y)."""
    full = np.polynomial.chebyshev.chebder(dense(coefficients), 2) if len(coefficients) > 1 else np.zeros(1)
    return np.asarray(np.polynomial.chebyshev.chebval(y, full))


def peak(coefficients: np.ndarray) -> float:
    """max |p(y)| over -1 <= y <= 1, at the roots of p' and at 1; accurate to rounding."""
    full = dense(coefficients)
    turns = np.polynomial.chebyshev.chebroots(np.polynomial.chebyshev.chebder(full)) if len(coefficients) > 1 else full
    inside = turns.real[(np.abs(turns.imag) < 1e-6) & (np.abs(turns.real) <= 1)]
    return float(np.abs(values(coefficients, np.append(inside, 1.0))).max())


def stretched(coefficients: np.ndarray, factor: float) -> np.ndarray:
    """The series of y -> p(factor * y), by interpolation at the roots of T_{2n} (exact up to rounding)."""
    n = len(coefficients)
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / (2 * n))  # the positive half: both sides are odd
    rows, _ = basis(n, nodes)
    # Discrete orthogonality at Chebyshev nodes: sum over all 2n nodes of T_i T_j is n for i = j > 0, else 0.
    return np.asarray(rows.T @ values(coefficients, factor * nodes) * (2 / n))


def dense(coefficients: np.ndarray) -> np.ndarray:
    """Coefficients of T_0, T_1, T_2, ..., the even ones exactly 0."""
    full = np.zeros(2 * len(coefficients))
    full[1::2] = coefficients
    return full
