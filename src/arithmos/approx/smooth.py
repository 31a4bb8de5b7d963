"""Minimax polynomials of smooth functions on an interval: Remez' exchange, with a proven error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from arithmos.approx.certify import FUNCTIONS, function_bound
from arithmos.approx.composite import Composite
from arithmos.approx.remez import alternation
from arithmos.errors import RangeError, UsageError
from arithmos.ir.ops.function import ATTRS
from arithmos.ir.ops.function import FUNCTIONS as FLOAT

ROUNDS = 60
ALTERNATION = 1e-7
POINTS_PER_DEGREE = 200
HIGHEST = 255


def minimax(
    function: str | Callable[[np.ndarray], np.ndarray], degree: int, low: float, high: float, **attrs: Any
) -> Composite:
    """argmin over polynomials p of the degree of max |f(x) - p(t)|, x = (low + high) / 2 + (high - low) / 2 * t.

    function: a name of `certify.FUNCTIONS` (gelu, silu, sigmoid, tanh, exp, reciprocal, rsqrt, ...), whose error is
    proven (needs the extra `polynomials`), with its attributes; any other function of a float64 array, whose error is
    then None. The result has one stage, the coefficients of T_0(t) ... T_degree(t). Raises UsageError for an interval
    or a degree that is none, RangeError where f is not finite.
    """
    _admit(function, degree, low, high)
    if isinstance(function, str):
        attrs = {**ATTRS.get(function, {}), **attrs}
    f = (lambda x: FLOAT[function](x, **attrs)) if isinstance(function, str) else function
    middle, half = (low + high) / 2, (high - low) / 2
    t = np.cos(np.pi * np.arange(POINTS_PER_DEGREE * (degree + 2), -1, -1) / (POINTS_PER_DEGREE * (degree + 2)))
    with np.errstate(all="ignore"):
        values = np.asarray(f(middle + half * t), dtype=np.float64)
    if values.shape != t.shape or not np.isfinite(values).all():
        raise RangeError(
            f"{_name(function)} has no finite value everywhere on [{low}, {high}]",
            why="a polynomial is finite everywhere",
            fix="choose an interval inside the function's domain",
        )
    stage = _levelled(values, t, degree)
    proven = isinstance(function, str) and function in FUNCTIONS
    error = function_bound(str(function), stage, low, high, **attrs) if proven else None
    return Composite((stage,), error=error)


def _levelled(values: np.ndarray, t: np.ndarray, degree: int) -> np.ndarray:
    """Coefficients whose error on the grid alternates at degree + 2 points, all of them exchanged at once."""
    rows = np.polynomial.chebyshev.chebvander(t, degree)
    # Not symmetric: the level of a symmetric reference is 0 where the function is odd or even, and the exchange ends.
    angles = np.pi * (1 - (np.arange(degree + 2) + 0.15) / (degree + 1.45))
    reference = np.searchsorted(t, np.cos(angles))
    signs = (-1.0) ** np.arange(degree + 2)
    noise = 64 * np.finfo(np.float64).eps * float(np.abs(values).max(initial=0.0))
    for _ in range(ROUNDS):
        solution = np.linalg.solve(np.column_stack([rows[reference], signs]), values[reference])
        error = values - rows @ solution[:-1]
        most, level = float(np.abs(error).max()), abs(float(solution[-1]))
        if most - level <= ALTERNATION * most + noise:
            return np.asarray(solution[:-1])
        found = list(alternation(error))
        if len(found) < degree + 2:
            break
        while len(found) > degree + 2:
            found = _fewer(found, error, degree + 2)
        reference = np.array(found)
    raise RangeError(
        f"the error of degree {degree} cannot be levelled",
        why=f"the exchange ended with errors between {level:.3g} and {most:.3g}",
        fix="choose another degree, or a shorter interval",
    )


def _fewer(found: list[int], error: np.ndarray, wanted: int) -> list[int]:
    """One extremum less at an end, or two neighbours less inside, so that signs go on alternating."""
    size = np.abs(error[found])
    if len(found) == wanted + 1:
        return found[1:] if size[0] < size[-1] else found[:-1]
    pair = int(np.argmin(np.maximum(size[:-1], size[1:])))
    return found[:pair] + found[pair + 2 :]


def _admit(function: str | Callable[[np.ndarray], np.ndarray], degree: int, low: float, high: float) -> None:
    problems = []
    if isinstance(function, str) and function not in FLOAT:
        problems.append(f"there is no function '{function}'; there are {', '.join(sorted(FLOAT))}")
    if isinstance(degree, bool) or not isinstance(degree, int) or not 0 <= degree <= HIGHEST:
        problems.append(f"the degree is {degree!r}, not a whole number from 0 to {HIGHEST}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        problems.append(f"the interval is [{low}, {high}]")
    if problems:
        raise UsageError(
            "there is no minimax polynomial of this",
            why="\n".join(problems),
            fix="give a function or its name, a degree, and low < high",
        )


def _name(function: str | Callable[[np.ndarray], np.ndarray]) -> str:
    return f"'{function}'" if isinstance(function, str) else "the function"
