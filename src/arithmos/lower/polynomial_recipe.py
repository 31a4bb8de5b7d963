"""The recipe of polynomials: everything an approximation may choose, with its defaults, in one frozen value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from arithmos.approx.composite import Composite
from arithmos.approx.stagewise import LARGEST_DEGREE
from arithmos.errors import UsageError

Method = Literal["composite", "fitted", "minimax", "square", "relu_aq", "given"]

METHODS: dict[str, str] = {
    "composite": "composite minimax sign, x (1 + p) / 2: certified",
    "fitted": "least squares on the distribution of every layer: accurate at few levels",
    "minimax": "one polynomial of a degree, the best of the largest error",
    "square": "x^2; maxima stay exact",
    "relu_aq": "x^2 / 8 + x / 2 + 1 / 4; maxima stay exact",
    "given": "the coefficients that are given",
}
ALPHAS = range(4, 15)
HIGHEST_DEGREE = 63
"""Of a stage: beyond it a Chebyshev series of float64 coefficients still works, but no network needs it."""


@dataclass(frozen=True, slots=True)
class PolynomialRecipe:
    """How a float graph becomes polynomials; `ar.Recipe(method=…)` makes it, or of any other of these fields.

    Raises UsageError with every bad value.
    """

    method: Method = field(default="composite", metadata={"help": ", ".join(METHODS)})
    alpha: int = field(default=12, metadata={"help": "precision of composites, 4 to 14: errors of about 2^-alpha B"})
    degrees: Sequence[int] | str | None = field(
        default=None,
        metadata={
            "help": "of the stages, first stage first; cheapest: the fewest levels with the published error; best: the "
            "smallest error in the published levels; published ones by default, 29 where fitted"
        },
    )
    offset: bool = field(default=False, metadata={"help": "composites with a free constant: smaller largest error"})
    B_relu: float | None = field(
        default=None, metadata={"help": "one B for all activations; by default each has its own, measured"}
    )
    B_max: float | None = field(
        default=None, metadata={"help": "one B for all differences of maxima; by default each has its own, measured"}
    )
    margin: float = field(default=1.25, metadata={"help": "measured B are the largest magnitude seen times this"})
    regularisation: float = field(
        default=1e-3, metadata={"help": "share of a uniform distribution that fitted polynomials keep"}
    )
    coefficients: Composite | str | Path | None = field(
        default=None, metadata={"help": "file of the coefficients that method given takes"}
    )

    def __post_init__(self) -> None:
        if isinstance(self.degrees, int) and not isinstance(self.degrees, bool):
            object.__setattr__(self, "degrees", (self.degrees,))
        elif isinstance(self.degrees, Sequence) and not isinstance(self.degrees, str):
            object.__setattr__(self, "degrees", tuple(self.degrees))
        problems = [
            *_method_problems(self),
            *_degree_problems(self),
            *_number_problems(self),
        ]
        if problems:
            raise UsageError(
                "this recipe cannot be followed",
                why="\n".join(problems),
                fix="the fields and their values are listed by `arithmos approximate --help`",
            )

    @property
    def degree_list(self) -> tuple[int, ...]:
        """The degrees where they are given one by one; empty otherwise."""
        return tuple(map(int, self.degrees)) if isinstance(self.degrees, tuple) else ()

    @property
    def exact_maxima(self) -> bool:
        """Whether max-pools stay as they are: x^2 and relu_aq come with exact ones, as published."""
        return self.method in ("square", "relu_aq")


def _method_problems(recipe: PolynomialRecipe) -> list[str]:
    if recipe.method not in METHODS:
        return [f"method must be one of {', '.join(METHODS)}, got {recipe.method!r}"]
    if (recipe.method == "given") != (recipe.coefficients is not None):
        return [
            "method given needs coefficients: a file or a Composite"
            if recipe.method == "given"
            else f"method {recipe.method} makes its own coefficients; method given takes yours"
        ]
    return []


def _degree_problems(recipe: PolynomialRecipe) -> list[str]:
    degrees = recipe.degrees
    if degrees is None or (recipe.method == "composite" and degrees in ("cheapest", "best")):
        return []
    if recipe.method in ("square", "relu_aq", "given"):
        return [f"method {recipe.method} has its own degrees"]
    lowest = 2 if recipe.method == "minimax" else 1
    if isinstance(degrees, str) or not degrees or not all(_is_whole(d) for d in degrees):
        words = "cheapest, best or " if recipe.method == "composite" else ""
        return [f"degrees of method {recipe.method} must be {words}a list of integers, got {degrees!r}"]
    if recipe.method == "minimax" and len(degrees) != 1:
        return [f"method minimax has one stage, got the degrees {list(degrees)}"]
    highest = HIGHEST_DEGREE if recipe.method == "minimax" else LARGEST_DEGREE
    bad = [d for d in degrees if not lowest <= d <= highest or (recipe.method != "minimax" and d % 2 == 0)]
    kind = "" if recipe.method == "minimax" else "odd, "
    return [f"degrees must be {kind}from {lowest} to {highest}, got {bad}"] if bad else []


def _number_problems(recipe: PolynomialRecipe) -> list[str]:
    problems = []
    if not _is_whole(recipe.alpha) or recipe.alpha not in ALPHAS:
        problems.append(f"alpha must be an integer from {ALPHAS[0]} to {ALPHAS[-1]}, got {recipe.alpha!r}")
    if not isinstance(recipe.offset, bool):
        problems.append(f"offset must be true or false, got {recipe.offset!r}")
    for name in ("B_relu", "B_max"):
        bound = getattr(recipe, name)
        if bound is not None and not (_is_number(bound) and bound > 0):
            problems.append(f"{name} must be a positive number, got {bound!r}")
    if not _is_number(recipe.margin) or recipe.margin < 1:
        problems.append(f"margin must be a number of at least 1, got {recipe.margin!r}")
    if not _is_number(recipe.regularisation) or not 0 < recipe.regularisation <= 1:
        problems.append(f"regularisation must be above 0 and at most 1, got {recipe.regularisation!r}")
    return problems


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _is_number(number: object) -> bool:
    kinds = (int, float, np.integer, np.floating)
    return isinstance(number, kinds) and not isinstance(number, bool) and math.isfinite(number)
