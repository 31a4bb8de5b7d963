"""Composite ReLU of least error: all stages and the constant together, by a sequence of linear programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.approx import odd_series
from arithmos.approx.least_maximum import least_maximum
from arithmos.approx.stagewise import (
    MARGIN,
    POINTS_PER_DEGREE,
    Stages,
    best_gap,
    composed,
    folded,
    points,
    relu_error,
    stagewise,
)
from arithmos.errors import RangeError

GAPS = np.geomspace(1.25, 10.0, 26)
"""How much wider than the stagewise optimum the gap is tried: the last stage also serves the gap."""

STARTS = 3
"""Starts that are descended from: those of the least error."""

STEPS = 300
CONVERGED = 1e-7
LARGEST_CHANGE = 0.3
FINE = 96
"""Points per degree of the last descent: what lies between them is larger by about 0.0001 of the error."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Stages and constant of r(x) = x (1 + p(x)) / 2 + offset, and max |relu - r| on the grid that was optimized."""

    stages: Stages
    offset: float
    error: float


def optimum(degrees: tuple[int, ...], *, offset: bool) -> Optimum:
    """argmin over all coefficients (and the constant, if `offset`) of max |relu(x) - r(x)| on [-1, 1].

    One stage is a convex problem, and this its solution. More are not: the best of the local optima that the starts of
    `last_stages` lead to. Deterministic. Needs the extra `polynomials`.
    """
    starts = sorted(last_stages(degrees, offset=offset), key=lambda start: start.error)
    if len(degrees) == 1:
        return starts[0]
    best = min((descended(start, offset=offset) for start in starts[:STARTS]), key=lambda end: end.error)
    x = points(degrees, FINE)
    near = float(np.abs(relu_error(best.stages, x) - best.offset).max())
    return descended(Optimum(best.stages, best.offset, near), offset=offset, trust=0.01, density=FINE)


def last_stages(degrees: tuple[int, ...], *, offset: bool) -> list[Optimum]:
    """All stages but the last as in `stagewise`, on a wider gap; the last one and the constant by linear programming.

    min over c_k and c of max |x (1 - p_k(y)) / 2 - c|, y = p_{k-1}(...(x)), is linear in both. One for each of GAPS.
    """
    x = points(degrees)
    if len(degrees) == 1:
        return [_with_last((), degrees[0], x, offset)]
    gap, found = best_gap(degrees), []
    for factor in GAPS:
        try:
            inner = stagewise(degrees[:-1], min(factor * gap, 0.95))
        except RangeError:  # nothing left to do for one of these stages
            continue
        inner = (*inner[:-1], inner[-1] / (odd_series.peak(inner[-1]) * MARGIN))
        found.append(_with_last(inner, degrees[-1], x, offset))
    return found


def descended(start: Optimum, *, offset: bool, trust: float = 0.1, density: int = POINTS_PER_DEGREE) -> Optimum:
    """Sequential linear programming from `start`: |e + J v| is minimised over the steps v that linearity bears.

    e is taken at its extrema. v moves each y_i by at most trust * sqrt(2 E / |d^2 e / d y_i^2|), so that the terms
    left out stay below about trust^2 E: in coefficients such steps are very long and very short at once. The trust
    doubles where the program foretold the gain, halves where it did not, and a worse point is refused. The stages are
    folded anew after each step: scales between stages are a freedom that would drift. Madsen, An algorithm for minimax
    solution of overdetermined systems, J. Inst. Maths Applics 16 (1975), with a trust region of our own.
    """
    x, best = points(tuple(2 * len(stage) - 1 for stage in start.stages), density), start
    for _ in range(STEPS):
        error = relu_error(best.stages, x) - best.offset
        rows = _extrema(error, 0.3 * best.error)
        slopes, guards = _linearized(best.stages, x[rows], best.error)
        box = np.full(slopes.shape[1], LARGEST_CHANGE)
        box[-1] = 2 * best.error if offset else 0.0
        change, foretold = least_maximum(slopes, error[rows], guards / trust, box)
        if best.error - foretold < CONVERGED * best.error:
            break
        moved = changed(best.stages, change[:-1])
        constant = best.offset + float(change[-1])
        actual = float(np.abs(relu_error(moved, x) - constant).max())
        ratio = (best.error - actual) / (best.error - foretold)
        if actual < best.error:
            best = Optimum(moved, constant, actual)
            trust *= 2 if ratio > 0.7 else 0.5 if ratio < 0.25 else 1
        else:
            trust /= 4
    return best


def changed(stages: Stages, change: np.ndarray) -> Stages:
    """The stages with `change`, all coefficients in a row, added, and folded again."""
    ends = np.cumsum([len(stage) for stage in stages])[:-1]
    parts = np.split(change, ends)
    return folded(tuple(stage + part for stage, part in zip(stages, parts, strict=True)))


def jacobian(stages: Stages, x: np.ndarray) -> np.ndarray:
    """d e / d (every coefficient, first stage first), e = x (1 - p(x)) / 2. Shape (points, coefficients)."""
    return np.asarray(-x[:, None] / 2 * _sensitivities(stages, x)[0][-1])


def _linearized(stages: Stages, x: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """d e / d (coefficients, constant), and the guards: moves of each y_i over sqrt(2 E / |d^2 e / d y_i^2|)."""
    moves, slopes, bends = _sensitivities(stages, x)
    first, second, guards = np.ones_like(x), np.zeros_like(x), []
    n = moves[-1].shape[1] + 1
    for move, slope, bend in zip(moves[-2::-1], slopes[:0:-1], bends[:0:-1], strict=True):
        first, second = slope * first, bend * first + slope * slope * second  # of all later stages, by the chain rule
        guard = np.zeros((len(x), n))
        guard[:, : move.shape[1]] = move * np.sqrt(np.abs(x * second) / (4 * level))[:, None]
        guards.append(guard)
    matrix = np.column_stack([-x[:, None] / 2 * moves[-1], -np.ones_like(x)])
    return matrix, np.concatenate([np.zeros((0, n)), *guards])


def _sensitivities(stages: Stages, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """For each stage: d y_i / d (coefficients of stages 1 to i), p_i' and p_i'' at y_{i-1}.

    d y_i / d c_ij = T_{2j-1}(y_{i-1}), and the earlier ones pass through p_i'.
    """
    moves: list[np.ndarray] = []
    slopes: list[np.ndarray] = []
    bends: list[np.ndarray] = []
    y = x
    for stage in stages:
        value, derivative = odd_series.basis(len(stage), y)
        slopes.append(derivative @ stage)
        bends.append(odd_series.bend(stage, y))
        moves.append(np.column_stack([moves[-1] * slopes[-1][:, None], value]) if moves else value)
        y = value @ stage
    return moves, slopes, bends


def _with_last(inner: Stages, degree: int, x: np.ndarray, offset: bool) -> Optimum:
    """The best last stage (and constant) after given stages."""
    rows, _ = odd_series.basis((degree + 1) // 2, composed(inner, x))
    matrix = np.column_stack([-rows * x[:, None] / 2, -np.ones_like(x)])
    box = np.full(matrix.shape[1], np.inf)
    box[-1] = np.inf if offset else 0.0
    solution, _ = least_maximum(matrix, x / 2, box=box)
    error = float(np.abs(x / 2 + matrix @ solution).max())
    return Optimum((*inner, solution[:-1]), float(solution[-1]), error)


def _extrema(error: np.ndarray, least: float) -> np.ndarray:
    """Local extrema of |error| that reach `least`, with both neighbours."""
    magnitude = np.abs(error)
    padded = np.concatenate([[-1.0], magnitude, [-1.0]])
    peaks = np.flatnonzero((magnitude >= padded[:-2]) & (magnitude >= padded[2:]) & (magnitude >= least))
    near = np.unique(np.concatenate([peaks - 1, peaks, peaks + 1]))
    return near[(near >= 0) & (near < len(error))]
