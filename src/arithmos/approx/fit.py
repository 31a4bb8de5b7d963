"""Composite ReLU fitted to a distribution: weighted least squares over all coefficients and the constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from arithmos.approx import odd_series
from arithmos.approx.certify import relu_bound
from arithmos.approx.composite import Composite
from arithmos.approx.joint import changed, jacobian
from arithmos.approx.stagewise import Stages, best_gap, odd_degrees, relu_error, split, stagewise
from arithmos.errors import UsageError

STEPS = 80
UNIFORM_POINTS = 512
CONVERGED = 1e-7
MOST_DAMPING = 1e8


@dataclass(frozen=True, slots=True)
class Fitted:
    """The fitted composite, its error proven, and the root mean square error over the distribution, in units of B."""

    composite: Composite
    rms: float

    @property
    def sup(self) -> float:
        """A proven bound of max |relu(x) - r(x)| on [-1, 1], in units of B."""
        assert self.composite.error is not None
        return self.composite.error


def fitted(
    degrees: Sequence[int],
    histogram: tuple[np.ndarray, np.ndarray],
    *,
    regularisation: float = 1e-3,
    start: Composite | None = None,
) -> Fitted:
    """argmin over all coefficients and c of sum_x h(x) e(x)^2 + regularisation * mean of e^2 over [0, 1].

    e(x) = |x| (1 - p(|x|)) / 2 - c is the error of the ReLU, even in x. histogram: (values u / B, |.| <= 1; weights,
    which are divided by their sum). One stage is linear least squares; more are Levenberg and Marquardt's method from
    `start`, by default the stagewise composite. Lee et al., Optimized layerwise approximation, arXiv 2310.10349, fit
    single polynomials so. Needs the extra `polynomials`, for the bound. Raises UsageError for a histogram that is
    none.
    """
    x, weight = _distribution(*histogram)
    uniform = (np.arange(UNIFORM_POINTS) + 0.5) / UNIFORM_POINTS
    if not regularisation > 0:
        raise UsageError(
            f"the regularisation is {regularisation}",
            why="without a share of the uniform distribution the polynomial is free where no value was seen",
            fix="give a number above 0, for instance 1e-3",
        )
    points = np.concatenate([x, uniform])
    root = np.sqrt(np.concatenate([weight, np.full(UNIFORM_POINTS, regularisation / UNIFORM_POINTS)]))
    stages = split(start) if start is not None else _start(odd_degrees(degrees))
    stages, constant = _descended(stages, 0.0 if start is None else start.offset, points, root)
    composite = Composite(tuple(odd_series.dense(stage) for stage in stages), constant)
    error = relu_error(stages, x) - constant
    return Fitted(replace(composite, error=relu_bound(composite)), float(np.sqrt(np.sum(weight * error**2))))


def _descended(stages: Stages, constant: float, x: np.ndarray, root: np.ndarray) -> tuple[Stages, float]:
    """Levenberg-Marquardt with Marquardt's scaling; the stages are folded anew after each step.

    One stage is a linear problem, which a single step without damping solves.
    """
    linear = len(stages) == 1
    damping = 0.0 if linear else 1e-4
    residual = root * (relu_error(stages, x) - constant)
    for _ in range(STEPS):
        slopes = np.column_stack([jacobian(stages, x), -np.ones_like(x)]) * root[:, None]
        size = np.sqrt(np.sum(slopes**2, axis=0)) + np.finfo(np.float64).tiny
        system = np.concatenate([slopes / size, np.sqrt(damping) * np.eye(len(size))])
        target = np.concatenate([-residual, np.zeros(len(size))])
        change = np.linalg.lstsq(system, target, rcond=None)[0] / size
        moved, shifted = changed(stages, change[:-1]), constant + float(change[-1])
        after = root * (relu_error(moved, x) - shifted)
        before, now = float(residual @ residual), float(after @ after)
        if linear:
            return moved, shifted
        if now < before:
            stages, constant, residual, damping = moved, shifted, after, damping / 3
            if before - now < CONVERGED * before:
                break
        else:
            damping *= 4
            if damping > MOST_DAMPING:
                break
    return stages, constant


@cache
def _start(degrees: tuple[int, ...]) -> Stages:
    return stagewise(degrees, best_gap(degrees))


def _distribution(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|values| and weights of sum 1, empty bins left out."""
    values, weights = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    problems = []
    if values.shape != weights.shape or values.ndim != 1:
        problems.append(f"values have the shape {values.shape}, weights {weights.shape}")
    elif not (np.isfinite(values).all() and np.isfinite(weights).all()):
        problems.append("a value or a weight is no finite number")
    elif weights.min(initial=0) < 0 or weights.sum() <= 0:
        problems.append("a weight is negative, or all are 0")
    elif np.abs(values[weights > 0]).max() > 1:
        problems.append(f"a value is {np.abs(values[weights > 0]).max():.6g}, outside [-1, 1]")
    if problems:
        raise UsageError(
            "this histogram cannot be fitted",
            why="\n".join(problems),
            fix="give the values divided by the bound B, and how often each was seen",
        )
    seen = weights > 0
    return np.abs(values[seen]), weights[seen] / weights.sum()
