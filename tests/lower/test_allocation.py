"""Dynamic programming against exhaustive search: budgets of levels, of multiplications, of both; the whole front."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.lower.allocation import Option, best, front, places, planned

Layers = dict[str, tuple[Option, ...]]


def problem(seed: int) -> tuple[Layers, dict[str, int]]:
    """Five layers of three or four options in three or four places; some options escape."""
    rng = np.random.default_rng(seed)
    layers = {}
    for i in range(5):
        n = int(rng.integers(3, 5))
        losses = np.where(rng.random(n) < 0.15, math.inf, rng.integers(0, 40, n) / 8)
        losses[0] = 6.0
        levels, products = rng.integers(1, 5, n), rng.integers(1, 6, n)
        layers[f"l{i}"] = tuple(Option(f"o{k}", int(levels[k]), int(products[k]), float(losses[k])) for k in range(n))
    where = [0, 1, 1, 2, 3] if seed % 2 else [0, 1, 1, 1, 2]
    return layers, dict(zip(layers, where, strict=True))


def every(layers: Layers, where: dict[str, int]) -> list[tuple[int, int, float]]:
    """(levels, multiplications, loss) of every choice there is."""
    found = []
    for choice in itertools.product(*layers.values()):
        heights: dict[int, int] = {}
        for name, option in zip(layers, choice, strict=True):
            heights[where[name]] = max(heights.get(where[name], 0), option.levels)
        loss = sum(option.loss for option in choice)
        found.append((sum(heights.values()), sum(o.multiplications for o in choice), loss))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_every_budget_gives_the_least_loss_of_an_exhaustive_search(seed: int):
    layers, where = problem(seed)
    choices = every(layers, where)
    for levels in (None, 5, 8, 11, 16):
        for products in (None, 8, 12, 18):
            fits = [loss for high, n, loss in choices if high <= (levels or 99) and n <= (products or 99)]
            least = min(fits, default=math.inf)
            if not math.isfinite(least):
                with pytest.raises(UsageError, match="no allocation keeps to this budget"):
                    best(layers, where, levels=levels, multiplications=products)
                continue
            plan = best(layers, where, levels=levels, multiplications=products)
            assert plan.loss == least
            assert plan.levels <= (levels or 99) and plan.multiplications <= (products or 99)
            assert plan == planned(layers, where, plan.choice)  # its figures are those of its choice


@pytest.mark.parametrize("by", ["levels", "multiplications"])
@pytest.mark.parametrize("seed", range(4))
def test_the_front_is_what_no_choice_beats(by: str, seed: int):
    layers, where = problem(seed)
    column = 0 if by == "levels" else 1
    expected, least = [], math.inf
    for cost in range(40):
        loss = min((c[2] for c in every(layers, where) if c[column] <= cost), default=math.inf)
        if loss < least:
            expected.append((cost, loss))
            least = loss
    assert [(getattr(plan, by), plan.loss) for plan in front(layers, where, by=by)] == expected


def test_of_equal_losses_the_cheapest_is_taken():
    layers = {"a": (Option("dear", 5, 9, 1.0), Option("cheap", 3, 2, 1.0), Option("middle", 3, 4, 1.0))}
    assert best(layers, {"a": 0}).choice == {"a": "cheap"}


def test_what_escapes_is_never_chosen_and_a_layer_without_a_choice_is_named():
    layers = {"a": (Option("x", 1, 1, math.inf), Option("y", 9, 9, 3.0)), "b": (Option("x", 1, 1, math.inf),)}
    assert best({"a": layers["a"]}, {"a": 0}).choice == {"a": "y"}
    with pytest.raises(UsageError) as caught:
        best(layers, {"a": 0, "b": 1}, levels=20)
    assert str(caught.value) == (
        "no allocation keeps to this budget\n"
        "  why  b: every candidate lets a range escape\n"
        "  fix  allow more, or give candidates that cost less"
    )


def test_a_budget_below_the_least_says_what_the_least_is():
    layers = {"a": (Option("x", 3, 2, 1.0),), "b": (Option("x", 4, 5, 1.0),)}
    with pytest.raises(UsageError) as caught:
        best(layers, {"a": 0, "b": 1}, levels=6, multiplications=9)
    assert caught.value.why == (
        "6 levels are allowed, the least that is possible is 7\n"
        "9 multiplications are allowed, the least that is possible is 7"
    )


def test_places_count_the_layers_before_each_on_its_longest_path():
    b = Builder("float")
    x = b.input("x", (-1, 4))
    stem = b.add("relu", x, name="stem")
    left = b.add("relu", b.add("relu", stem, name="left0"), name="left1")
    right = b.add("relu", stem, name="right")
    top = b.add("relu", b.add("add", left, right, name="sum"), name="top")
    graph = b.graph(top)
    assert places(graph, ["stem", "left0", "left1", "right", "top"]) == {
        "stem": 0, "left0": 1, "left1": 2, "right": 1, "top": 3,
    }  # fmt: skip
    assert places(graph, ["left1", "top"]) == {"left1": 0, "top": 1}
