"""Composite sign, stage by stage: each stage is the minimax of the sign on what the one before leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from arithmos.approx import odd_series
from arithmos.approx.composite import Composite
from arithmos.approx.remez import odd_minimax
from arithmos.errors import RangeError, UsageError

Stages = tuple[np.ndarray, ...]
"""Odd coefficients of each stage on [-1, 1], the next stage's range folded in."""

POINTS_PER_DEGREE = 24
FEWEST_POINTS = 3000
PART = 8192
LARGEST_DEGREE = 31
SCAN = 28
GOLDEN_STEPS = 30
MARGIN = 1 + 2.0**-30
"""Room that folding leaves, so that rounding leads no stage out of [-1, 1]."""


def odd_degrees(degrees: Sequence[int]) -> tuple[int, ...]:
    """The degrees of a composite sign, first stage first. Raises UsageError unless each is odd, from 1 to 31."""
    odd = range(1, LARGEST_DEGREE + 1, 2)
    bad = [d for d in degrees if isinstance(d, bool) or not isinstance(d, int) or d not in odd]
    if bad or not degrees:
        raise UsageError(
            f"no composite sign has the degrees {list(degrees)}",
            why=f"not odd, or not from 1 to {LARGEST_DEGREE}: {', '.join(map(str, bad))}"
            if bad
            else "there is no stage",
            fix="give odd degrees, first stage first, for instance (7, 15)",
        )
    return tuple(degrees)


def stagewise(degrees: tuple[int, ...], eps: float) -> Stages:
    """p_i = minimax of 1 on [1 - d_{i-1}, 1 + d_{i-1}], the first one on [eps, 1], d_i the error of stage i.

    No composite of these degrees has a smaller sup |sign - p| on eps <= |x| <= 1. Lee, Lee, No, Kim, Minimax
    approximation of sign function by composite polynomial for homomorphic comparison, IEEE TDSC 2021. Raises
    RangeError where a stage has nothing left to do in float64.
    """
    low, high, raw = eps, 1.0, []
    for degree in degrees:
        coefficients, error = odd_minimax(degree, low, high)
        raw.append((coefficients, high))
        low, high = 1 - error, 1 + error
    return folded(tuple(c for c, _ in raw), tuple(b for _, b in raw))


def folded(stages: Stages, ranges: tuple[float, ...] | None = None) -> Stages:
    """The same composite with every stage but the last mapped into [-1, 1].

    stages: stage i is a series in y / ranges[i]; ranges: 1 each where not given. Only the factors between stages
    change.
    """
    incoming, out = 1.0, []
    for n, stage in enumerate(stages):
        factor = incoming / (ranges[n] if ranges else 1.0)
        stage = odd_series.stretched(stage, factor) if factor != 1 else stage
        incoming = odd_series.peak(stage) * MARGIN if n < len(stages) - 1 else 1.0
        out.append(stage / incoming)
    return tuple(out)


def split(composite: Composite) -> Stages:
    """The odd coefficients of each stage. Raises UsageError where an even one is not 0."""
    if any(np.any(stage[::2]) for stage in composite.stages):
        raise UsageError(
            "these stages are not odd",
            why="a coefficient of an even term is not 0, and the sign is an odd function",
            fix="give stages whose coefficients of T_0, T_2, ... are 0",
        )
    return tuple(stage[1::2] for stage in composite.stages)


def composed(stages: Stages, x: np.ndarray) -> np.ndarray:
    """p(x) for odd stages, x a vector; in parts that stay in the processor's cache, which is 4 times as fast."""
    out = np.empty_like(x)
    for at in (slice(n, n + PART) for n in range(0, len(x), PART)):
        y = x[at]
        for stage in stages:
            y = odd_series.values(stage, y)
        out[at] = y
    return out


def points(degrees: tuple[int, ...], density: int = POINTS_PER_DEGREE) -> np.ndarray:
    """x = sin(pi k / 2M) in [0, 1], M = density * product of the degrees, or FEWEST_POINTS: all oscillations."""
    most = max(density * math.prod(degrees), FEWEST_POINTS)
    return np.asarray(np.sin(np.pi / 2 * np.arange(most + 1) / most))


def relu_error(stages: Stages, x: np.ndarray) -> np.ndarray:
    """e(x) = relu(x) - x (1 + p(x)) / 2 = x (1 - p(x)) / 2 for x >= 0; it is even, because p is odd."""
    return np.asarray(x * (1 - composed(stages, x)) / 2)


def best_gap(degrees: tuple[int, ...]) -> float:
    """The eps whose stagewise composite has the smallest max |relu - r| on [-1, 1]: a scan, then golden section."""
    x = points(degrees, 8)

    def worst(log_eps: float) -> float:
        try:
            return float(np.abs(relu_error(stagewise(degrees, math.exp(log_eps)), x)).max())
        except RangeError:
            return math.inf

    tries = np.linspace(math.log(0.4 / math.prod(degrees)), math.log(0.9), SCAN)
    found = [worst(t) for t in tries]
    best = int(np.argmin(found))
    low, high = float(tries[max(best - 1, 0)]), float(tries[min(best + 1, SCAN - 1)])
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = worst(left), worst(right)
    for _ in range(GOLDEN_STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = worst(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = worst(right)
    return math.exp((low + high) / 2)
