"""Forms: affine combinations of integer values, added and scaled without a rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.lower.factor import constant
from arithmos.lower.form import Form, Term, plus, single, times

factors = st.integers(-8, 8).map(lambda n: n / 4)
forms = st.tuples(st.dictionaries(st.sampled_from("abc"), factors), factors).map(
    lambda drawn: Form(tuple(Term(v, constant(f)) for v, f in drawn[0].items()), np.asarray(drawn[1]))
)
VALUES = {"a": 3, "b": -5, "c": 7}


def real(form: Form) -> float:
    return float(sum(t.factor.array * VALUES[t.value] for t in form.terms) + form.offset)


def one(numbers: np.ndarray | float, offset: float = 0.0) -> Form:
    return single("a", constant(numbers), offset)


@given(forms, forms, factors)
def test_forms_are_affine(one: Form, two: Form, gain: float) -> None:
    assert real(plus(one, two)) == real(one) + real(two)
    assert real(times(one, gain)) == gain * real(one)
    names = [t.value for t in plus(one, two).terms]
    assert len(set(names)) == len(names), "a value has one term"


@pytest.mark.parametrize(
    ("form", "step"),
    [
        (one(0.5), 0.5),
        (one(np.full((4, 1, 1), 0.25)), 0.25),
        (one(np.array([0.25, 0.5])), None),
        (one(-0.5), None),
        (one(0.0), None),
        (one(0.5, 1.0), None),
        (plus(one(0.5), single("b", constant(0.5))), None),
        (plus(one(0.5), one(0.25)), 0.75),
        (Form((), np.asarray(2.0)), None),
    ],
)
def test_a_form_has_a_step_if_it_is_one_value_on_one_grid(form: Form, step: float | None) -> None:
    assert (None if form.step is None else float(form.step)) == step


def test_the_value_of_a_single_term() -> None:
    assert one(1.0).value == "a"
