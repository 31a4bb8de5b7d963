"""Minimax by exchange: the odd polynomial nearest to 1 on [a, b], which is the best sign on [-b, -a] and [a, b]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arithmos.approx import odd_series
from arithmos.errors import RangeError

ROUNDS = 40
ALTERNATION = 1e-9
"""The exchange ends where the largest error is within this part of the levelled one."""


def odd_minimax(
    degree: int, a: float, b: float, weight: Callable[[np.ndarray], np.ndarray] | None = None
) -> tuple[np.ndarray, float]:
    """argmin over odd p of max over a <= y <= b of weight(y) |1 - p(y)|. Returns (c, error).

    c: the coefficients of T_1(y / b), T_3(y / b), ..., shape ((degree + 1) / 2,). Odd powers are a Haar system on (0,
    b], so the optimum levels the error at one point more than there are coefficients: Remez' exchange, all points at
    once. 0 < a < b. Raises RangeError where a and b are too near for float64.
    """
    n = (degree + 1) // 2
    grid = _grid(n, a, b)
    rows, _ = odd_series.basis(n, grid / b)
    scale = np.ones_like(grid) if weight is None else weight(grid)
    signs = (-1.0) ** np.arange(n + 1)
    middle, half = (a * a + b * b) / 2, (b * b - a * a) / 2
    reference = np.unique(np.searchsorted(grid, np.sqrt(middle - half * np.cos(np.pi * np.arange(n + 1) / n))))
    reference = np.minimum(reference, len(grid) - 1)
    for _ in range(ROUNDS):
        if len(reference) != n + 1:
            break
        system = np.column_stack([rows[reference], signs / scale[reference]])
        try:
            solution = np.linalg.solve(system, np.ones(n + 1))
        except np.linalg.LinAlgError:
            break
        coefficients, level = solution[:n], abs(float(solution[n]))
        error = scale * (1 - rows @ coefficients)
        most = float(np.abs(error).max())
        if most - level <= ALTERNATION * most:
            return coefficients, most
        reference = _exchange(error, n + 1)
    raise RangeError(
        f"no odd polynomial of degree {degree} levels its error on [{a!r}, {b!r}]",
        why="the ends are too near to each other, or too far apart, for 53 bits",
        fix="use a lower degree, or fewer stages",
    )


def alternation(error: np.ndarray) -> np.ndarray:
    """The index of the largest |error| in each run of equal signs, in order."""
    starts = np.flatnonzero(np.diff(np.signbit(error), prepend=not np.signbit(error[0])))
    magnitude = np.abs(error)
    ends = np.append(starts[1:], len(error))
    return np.array([lo + int(np.argmax(magnitude[lo:hi])) for lo, hi in zip(starts, ends, strict=True)])


def _exchange(error: np.ndarray, wanted: int) -> np.ndarray:
    """The alternating extrema; the smaller end goes while there are too many."""
    found = list(alternation(error))
    while len(found) > wanted:
        found.pop(0 if abs(error[found[0]]) < abs(error[found[-1]]) else -1)
    return np.array(found)


def _grid(n: int, a: float, b: float) -> np.ndarray:
    """Points dense where the extrema of degree 2n - 1 lie: even in the angle of y^2, and geometric from a."""
    middle, half = (a * a + b * b) / 2, (b * b - a * a) / 2
    angle = np.cos(np.pi * np.arange(200 * n + 1) / (200 * n))
    points = np.concatenate([np.sqrt(middle - half * angle), np.geomspace(a, b, 200 * n), [a, b]])
    return np.unique(np.clip(points, a, b))
