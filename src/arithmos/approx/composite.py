"""Composite polynomials p = p_k o ... o p_1 on [-1, 1]: the value that everything here makes and the lowering takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.approx import odd_series
from arithmos.errors import UsageError
from arithmos.ir.ops.polynomial import degree, levels, multiplications


@dataclass(frozen=True, slots=True)
class Composite:
    """p = p_k o ... o p_1 on [-1, 1], with the constant of r(x) = x (1 + p(x)) / 2 + offset and a certified error.

    stages: float64 coefficients of T_0 ... T_d, first stage first. Every stage but the last maps [-1, 1] into [-1, 1]:
    the range of the next one is folded in. In an odd stage the even coefficients are exactly 0.
    offset: the constant c, in units of half the interval's width.
    error: an upper bound, proven, of the largest error on [-1, 1] of what the polynomial stands for (for a sign:
    |relu(x) - r(x)|); None where nothing is proven. Raises UsageError for stages that are empty, not finite, or no
    vectors.
    """

    stages: tuple[np.ndarray, ...]
    offset: float = 0.0
    error: float | None = None

    def __post_init__(self) -> None:
        problems = [problem for n, stage in enumerate(self.stages, 1) for problem in _defects(n, stage)]
        if not self.stages:
            problems.append("it has no stage")
        if not np.isfinite(self.offset):
            problems.append(f"the constant is {self.offset}")
        if problems:
            raise UsageError(
                "these coefficients are no polynomial",
                why="\n".join(problems),
                fix="give one vector of finite numbers for each stage: the coefficients of T_0, T_1, T_2, ...",
            )

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degree of each stage, first stage first."""
        return tuple(degree(stage) for stage in self.stages)

    @property
    def depth(self) -> int:
        """Levels of p alone: sum over stages of ceil(log2(d + 1)). The product with x in a ReLU takes one more."""
        return levels(self.degrees)

    @property
    def multiplications(self) -> int:
        """Non-scalar multiplications of p alone; a ReLU takes one more."""
        return multiplications(self.degrees)


def evaluate(composite: Composite, x: np.ndarray) -> np.ndarray:
    """p(x), stage after stage by Clenshaw's recurrence, in float64 whatever the type of x; any shape.

    This is the reference that other evaluations are compared with. Outside [-1, 1] a composite grows without bound.
    """
    y = np.asarray(x, dtype=np.float64)
    for stage in composite.stages:
        if len(stage) > 1 and not np.any(stage[::2]):
            y = odd_series.values(stage[1::2], y)
        else:
            y = np.asarray(np.polynomial.chebyshev.chebval(y, stage))
    return y


def relu_of(composite: Composite, x: np.ndarray) -> np.ndarray:
    """r(x) = x (1 + p(x)) / 2 + offset, which is about max(x, 0) on [-1, 1]. Float64, any shape.

    With |u| <= B: relu(u) is about B r(u / B), off by at most B * error. And max(a, b) = b + relu(a - b): with |a - b|
    <= B it is b + B r((a - b) / B), off by at most B * error as well.
    """
    y = np.asarray(x, dtype=np.float64)
    return np.asarray(y * (1 + evaluate(composite, y)) / 2 + composite.offset)


def _defects(n: int, stage: np.ndarray) -> list[str]:
    if stage.ndim != 1 or stage.size == 0:
        return [f"stage {n} has the shape {stage.shape}"]
    bad = np.flatnonzero(~np.isfinite(stage))
    return [f"stage {n}: the coefficient of T_{k} is {stage[k]}" for k in bad]
