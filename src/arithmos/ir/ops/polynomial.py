"""The op of polynomial graphs: an activation as a composite polynomial on [-bound, bound]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.interval import Interval
from arithmos.ir.ops.op import Example, Op, Operand, expect

Form = Literal["relu", "value"]

MULTIPLICATIONS = {
    1: 0, 2: 1, 3: 2, 5: 3, 7: 5, 9: 5, 11: 6, 13: 7, 15: 8, 17: 8, 19: 8, 21: 9, 23: 9, 25: 10, 27: 10, 29: 11, 31: 12
}  # fmt: skip
"""Degree -> non-scalar multiplications of the baby-step giant-step evaluation of least depth. Lee et al., arXiv
2105.10879, Table I; odd degrees; 2, 3, 5, 7 and 9
counted here."""


def levels(degrees: Sequence[int]) -> int:
    """Multiplicative depth of stages of these degrees: sum of ceil(log2(d + 1)), coefficients included."""
    return sum(d.bit_length() for d in degrees)


def multiplications(degrees: Sequence[int]) -> int:
    """Non-scalar multiplications of stages of these degrees: by the table, any other degree by ceil(2 sqrt(d))."""
    return sum(MULTIPLICATIONS.get(d, math.ceil(2 * math.sqrt(d))) for d in degrees)


def degree(stage: np.ndarray) -> int:
    """The highest k whose T_k has a coefficient other than 0."""
    return int(np.flatnonzero(stage).max(initial=0))


def problems_of_stages(stages: Sequence[np.ndarray | None]) -> list[str]:
    """What keeps constants from being the stages of a polynomial, a line each; empty if they are."""
    problems = [] if stages else ["a polynomial needs at least one stage"]
    for number, stage in enumerate(stages, 1):
        if stage is None:
            problems.append(f"stage {number} is not a constant")
        elif stage.dtype.kind != "f" or not np.isfinite(stage).all():
            problems.append(f"stage {number} holds coefficients that are no finite real numbers")
    return problems


def _infer(x: Shape, *stages: Shape, bound: float | None, form: Form, offset: float, gain: float) -> Shape:
    expect(bool(stages), "a polynomial needs at least one stage")
    expect(all(len(s) == 1 and s[0] > 0 for s in stages), f"stages are vectors of coefficients, got {stages}")
    expect(bound is None or (math.isfinite(bound) and bound > 0), f"the bound must be positive, got {bound}")
    expect(form in ("relu", "value"), f"there are the forms relu and value, not {form!r}")
    expect(math.isfinite(offset) and math.isfinite(gain), f"offset {offset} and gain {gain} must be finite")
    expect(form == "value" or bound is not None, "the form relu needs a bound")
    return x


def _run(x: np.ndarray, *stages: np.ndarray, bound: float | None, form: Form, offset: float, gain: float) -> np.ndarray:
    """relu: x (1 + p(x/B)) / 2 + offset B; value: gain p(x/B) + offset; p = stage_k o ... o stage_1, B = bound or 1.

    stages: coefficients of T_0, T_1, ...; in float64, rounded once to the type of x. Beyond B the caller must look.
    """
    exact = x.astype(np.float64)
    y = exact / (1.0 if bound is None else bound)
    for stage in stages:
        y = np.asarray(np.polynomial.chebyshev.chebval(y, stage.astype(np.float64)))
    result = exact * (1 + y) / 2 + offset * bound if form == "relu" and bound else gain * y + offset
    return np.asarray(result).astype(x.dtype)


def _example(x: Shape, stages: Sequence[int], bound: float | None, form: Form) -> Example:
    operands = (Operand(x, Interval(-5, 5)), *(Operand((n,), Interval(-1, 1), constant=True) for n in stages))
    return Example(operands, {"bound": bound, "form": form, "offset": 0.25, "gain": 1.5})


OPS = {
    "polynomial": Op(
        _infer,
        _run,
        None,
        (
            _example((-1, 3, 4), (4,), 5.0, "relu"),
            _example((-1, 2, 3, 3), (4, 6), 8.0, "relu"),
            _example((-1, 5), (3,), None, "value"),
        ),
    )
}
