"""Bootstraps by hand-computed cases: late ones on a path, shared ones where paths meet, and what cannot fit."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.ir.bootstraps import LevelBudget, bootstraps
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph


def cubic(b: Builder, x: str, name: str) -> str:
    """A ReLU by one stage of degree 3: 3 levels."""
    stage = b.constant(f"{name}.stage", np.array([0.0, 1.0, 0.0, -0.2]))
    return b.add("polynomial", x, stage, name=name, bound=2.0, form="relu", offset=0.0, gain=1.0)


def chain(n: int) -> Graph:
    b = Builder("poly")
    y = b.input("x", (-1, 4))
    for i in range(n):
        y = cubic(b, y, f"p{i}")
    return b.graph(y)


def linear(b: Builder, x: str, name: str) -> str:
    return b.add("linear", x, b.constant(f"{name}.weight", np.eye(4)), name=name)


def test_a_path_is_bootstrapped_as_late_as_possible():
    # A fresh input has 4 + 2 levels: 6, 3, 0 | 4, 1 | 4, 1 | 4, 1.
    found = bootstraps(chain(5), LevelBudget(between=4, bootstrap=2))
    assert found.values == ("p1", "p2", "p3") and (found.on_path, found.levels, found.chain) == (3, 15, 6)
    assert found.text == "3 bootstraps, 3 of them on one path of 15 levels; the chain has 6 levels"
    assert found.facts["values"] == ["p1", "p2", "p3"]


def test_the_fresh_chain_may_be_enough():
    assert bootstraps(chain(2), LevelBudget(between=4, bootstrap=2)).values == ()
    assert bootstraps(chain(2), LevelBudget(between=3, bootstrap=2)).values == ("p0",)
    assert bootstraps(chain(10)).values == ()  # 30 levels by default
    assert bootstraps(chain(11)).values == ("p9",)


def test_linear_layers_take_a_level_and_sums_none():
    b = Builder("poly")
    x = b.input("x", (-1, 4))
    y = linear(b, x, "a")  # 3 - 1 = 2
    y = b.add("add", y, x, name="sum")  # min(2, 3) = 2
    y = linear(b, linear(b, y, "b"), "c")  # 0
    found = bootstraps(b.graph(linear(b, y, "d")), LevelBudget(between=2, bootstrap=1))
    assert found.values == ("c",) and found.levels == 4


def test_a_value_that_two_readers_need_is_bootstrapped_once_and_paths_are_counted_apart():
    b = Builder("poly")
    x = b.input("x", (-1, 4))
    stem = cubic(b, x, "stem")  # 4 - 3 = 1
    left, right = cubic(b, stem, "left"), cubic(b, stem, "right")  # stem has 3 again: 0 and 0
    last = cubic(b, b.add("add", left, right, name="sum"), "last")
    found = bootstraps(b.graph(last), LevelBudget(between=3, bootstrap=1))
    assert found.values == ("stem", "sum") and found.on_path == 2 and found.levels == 9

    b = Builder("poly")
    x = b.input("x", (-1, 4))
    tops = [cubic(b, cubic(b, x, f"{side}0"), f"{side}1") for side in "ab"]
    found = bootstraps(b.graph(b.add("add", *tops, name="sum")), LevelBudget(between=3, bootstrap=1))
    assert found.values == ("a0", "b0") and found.on_path == 1 and found.levels == 6


def test_an_activation_that_is_taller_than_the_budget_is_named():
    with pytest.raises(UsageError) as caught:
        bootstraps(chain(2), LevelBudget(between=2, bootstrap=9))
    assert str(caught.value) == (
        "2 activations do not fit between two bootstraps\n"
        "  why  2 levels are left after a bootstrap\n"
        "       p0 takes 3 levels\n"
        "       p1 takes 3 levels\n"
        "  fix  give more levels between bootstraps, or polynomials of fewer levels"
    )


def test_a_budget_that_is_none_is_refused_with_both_reasons():
    with pytest.raises(UsageError) as caught:
        LevelBudget(between=0, bootstrap=True)
    assert str(caught.value) == (
        "this is no chain of levels\n"
        "  why  between must be an integer of at least 1, got 0\n"
        "       bootstrap must be an integer of at least 0, got True\n"
        "  fix  for instance between=16, bootstrap=14"
    )
