"""The same polynomial by other coefficients: on another interval, and without the product."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.approx.composite import Composite
from arithmos.ir.build import Builder
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.lower.rebound import in_fewest_levels, in_value_form, rebounded, stretched
from arithmos.lower.replacement import Replacement, replace

ODD = np.array([0, 1.1, 0, -0.25, 0, 0.125])
OTHER = np.array([0.1, 0.75, -0.2, 0.05])
X = np.linspace(-2.4, 2.4, 97)


def relu() -> Graph:
    b = Builder("float")
    return b.graph(b.add("relu", b.input("x", (-1,)), name="y"))


def values(replacement: Replacement) -> np.ndarray:
    return evaluate(replace(relu(), {"y": replacement}), {"x": X}, dtype=np.float64)["y"]


@pytest.mark.parametrize("stages", [(ODD,), (OTHER,), (ODD / 1.5, OTHER), (np.array([0.3]),)])
@pytest.mark.parametrize("form", ["relu", "value"])
def test_another_bound_changes_no_value(stages: tuple[np.ndarray, ...], form: str) -> None:
    first = Replacement(Composite(stages, 0.0625 if form == "relu" else 0.0, 0.5), 2.5, form, gain=3.0)  # type: ignore[arg-type]
    wide = rebounded(first, 4.0)
    assert wide.bound == 4.0 and wide.composite.error is None
    assert np.abs(values(wide) - values(first)).max() < 1e-13


def test_odd_stages_stay_odd_exactly() -> None:
    assert not np.any(stretched(ODD, 1.7)[::2]) and not np.any(stretched(np.array([1.0, 0, 0.5]), 0.3)[1::2])


@pytest.mark.parametrize("series", [np.array([0.0, 1.2]), ODD, OTHER, np.array([0.4])])
def test_the_value_form_is_the_same_function_one_degree_higher(series: np.ndarray) -> None:
    first = Replacement(Composite((series,), 0.0625, 0.125), 2.5)
    made = in_value_form(first)
    assert made.form == "value" and made.gain == 2.5 and made.composite.error == 0.125
    assert made.composite.degrees == (max(1, len(series)),)
    assert np.abs(values(made) - values(first)).max() < 1e-14
    assert in_value_form(made) is made


@pytest.mark.parametrize(
    ("odd", "before", "after"), [(1, 2, 2), (3, 3, 3), (5, 4, 3), (7, 4, 4), (13, 5, 4), (15, 5, 5)]
)
def test_levels(odd: int, before: int, after: int) -> None:
    first = Replacement(Composite((np.eye(odd + 1)[odd],)), 2.5)
    counts = [depth(replace(relu(), {"y": r})).activation_levels for r in (first, in_value_form(first))]
    assert counts == [before, after]


def test_several_stages_stay_as_they_are() -> None:
    first = Replacement(Composite((ODD / 1.5, OTHER)), 2.5)
    assert in_value_form(first) is first


@pytest.mark.parametrize(("degree", "form", "levels"), [(29, "value", 5), (15, "relu", 5), (13, "value", 4)])
def test_the_form_of_fewest_levels(degree: int, form: str, levels: int) -> None:
    chosen = in_fewest_levels(Replacement(Composite((np.eye(degree + 1)[degree],)), 2.0))
    assert chosen.form == form
    assert depth(replace(relu(), {"y": chosen})).levels == levels
