"""Forms: what the lowering knows a float value by: an affine combination of integer values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Term:
    """factor * q: `value` names the integer value q, `factor` (float64) broadcasts to its shape."""

    value: str
    factor: np.ndarray


@dataclass(frozen=True, slots=True)
class Form:
    """real = sum of factor * q over the terms, plus offset (float64, broadcasts).

    An accumulator, a scaled shortcut, a constant added per channel: none of them costs a rounding until someone needs
    integers on one grid. That is how a residual join gets its single rounding.
    """

    terms: tuple[Term, ...]
    offset: np.ndarray

    @property
    def step(self) -> float | None:
        """The step, if the form is one integer value on one grid: real = step * q with a positive step; else None."""
        if len(self.terms) != 1 or np.any(self.offset):
            return None
        factor = self.terms[0].factor
        uniform = factor.size > 0 and bool(np.all(factor == factor.flat[0]))
        return float(factor.flat[0]) if uniform and factor.flat[0] > 0 else None

    @property
    def value(self) -> str:
        """The integer value of a form of one term."""
        assert len(self.terms) == 1
        return self.terms[0].value


def single(value: str, factor: np.ndarray | float, offset: np.ndarray | float = 0.0) -> Form:
    """The form of one integer value."""
    return Form((Term(value, np.asarray(factor, dtype=np.float64)),), np.asarray(offset, dtype=np.float64))


def plus(a: Form, b: Form) -> Form:
    """a + b; two terms of one value become one."""
    factors: dict[str, np.ndarray] = {}
    for term in (*a.terms, *b.terms):
        factors[term.value] = factors[term.value] + term.factor if term.value in factors else term.factor
    return Form(tuple(Term(v, f) for v, f in factors.items()), a.offset + b.offset)


def times(form: Form, gain: np.ndarray | float) -> Form:
    """gain * form, gain a constant that broadcasts."""
    return Form(tuple(Term(t.value, t.factor * gain) for t in form.terms), np.asarray(form.offset * gain))
