"""Forms: what the lowering knows a float value by: an affine combination of integer values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.lower.factor import Factor


@dataclass(frozen=True, slots=True)
class Term:
    """factor * q: `value` names the integer value q, `factor` broadcasts to its shape."""

    value: str
    factor: Factor


@dataclass(frozen=True, slots=True)
class Form:
    """real = sum of factor * q over the terms, plus offset (float64, broadcasts).

    An accumulator, a scaled shortcut, a constant added per channel: none of them costs a rounding until someone needs
    integers on one grid. That is how a residual join gets its single rounding.
    """

    terms: tuple[Term, ...]
    offset: np.ndarray

    @property
    def step(self) -> Factor | None:
        """The step, if the form is one integer value on one grid: real = step * q with a positive step; else None."""
        if len(self.terms) != 1 or np.any(self.offset):
            return None
        number = self.terms[0].factor.number
        return number if number is not None and float(number) > 0 else None

    @property
    def value(self) -> str:
        """The integer value of a form of one term."""
        assert len(self.terms) == 1
        return self.terms[0].value


def single(value: str, factor: Factor, offset: np.ndarray | float = 0.0) -> Form:
    """The form of one integer value."""
    return Form((Term(value, factor),), np.asarray(offset, dtype=np.float64))


def plus(a: Form, b: Form) -> Form:
    """a + b; two terms of one value become one."""
    factors: dict[str, Factor] = {}
    for term in (*a.terms, *b.terms):
        factors[term.value] = factors[term.value] + term.factor if term.value in factors else term.factor
    return Form(tuple(Term(v, f) for v, f in factors.items()), a.offset + b.offset)


def times(form: Form, gain: np.ndarray | float) -> Form:
    """gain * form, gain a constant that broadcasts."""
    return Form(tuple(Term(t.value, t.factor * gain) for t in form.terms), np.asarray(form.offset * gain))
