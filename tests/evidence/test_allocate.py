"""Allocations on a small CNN: they keep to their targets, on held-out images, and inside every interval."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.evidence.allocate import Allocation, Target, allocated
from arithmos.evidence.fit_settings import HEADROOM
from arithmos.evidence.held_out import HeldOut, held_out, loss
from arithmos.evidence.sensitivity import Candidates, Sensitivity, sensitivity
from arithmos.ir.graph import Graph
from arithmos.lower.allocation import best, places
from arithmos.lower.replacement import replace as replaced
from evidence.hybrid import composites, small_cnn
from factories import images

pytest.importorskip("torch")


@cache
def measured() -> tuple[Graph, Candidates, Sensitivity, HeldOut]:
    prepared = small_cnn()
    candidates = {f"alpha {alpha}": composites(prepared, alpha, margin=2.0) for alpha in (4, 6, 8, 10)}
    held = held_out(prepared.graph, images(48, seed=21), np.arange(48) % 10)
    return prepared.graph, candidates, sensitivity(prepared.graph, candidates, [images(16, seed=20)]), held


def allocation(target: Target, **options: object) -> Allocation:
    return allocated(*measured(), target, **options)


def test_a_budget_of_levels_gives_the_best_plan_and_its_network():
    graph, candidates, seen, held = measured()
    found = allocation(Target(levels=30), points=0)
    assert found.point.plan == best(seen.options, places(graph, seen.options), levels=30)
    assert found.point.plan.levels <= 30 and found.front == () and found.excluded == ()
    net = replaced(graph, found.replacements)
    assert loss(net, held) == found.point.loss and found.point.loss.inside(HEADROOM)
    choice = found.point.plan.choice
    assert all(found.replacements[layer] is candidates[name][layer] for layer, name in choice.items())


def test_more_levels_lose_less_and_the_front_is_measured():
    few, many = allocation(Target(levels=28), points=3), allocation(Target(levels=44), points=0)
    assert many.point.loss.rms < few.point.loss.rms
    costs = [point.plan.levels for point in few.front]
    assert len(costs) == 3 and costs == sorted(costs)
    assert [row["levels"] for row in few.facts["front"]] == costs
    assert sum(line.endswith("chosen") for line in few.text.splitlines()) == 1


def test_an_rms_is_met_with_the_fewest_levels_of_the_front():
    found = allocation(Target(rms=0.05), points=0)
    assert found.point.loss.rms <= 0.05
    cheaper = allocation(Target(levels=found.point.plan.levels - 1), points=0)
    assert cheaper.point.loss.rms > 0.05


def test_points_of_top1_are_met_on_the_labels():
    held = measured()[3]
    found = allocation(Target(points=5.0), points=0)
    assert 100 * (held.exact_top1 - found.point.loss.top1) <= 5
    graph, candidates, seen, _ = measured()
    with pytest.raises(UsageError, match="the held-out images have no labels"):
        allocated(graph, candidates, seen, replace(held, labels=None), Target(points=1.0))


def test_an_option_that_reaches_too_far_is_given_up_and_listed():
    graph, candidates, seen, held = measured()
    narrow = composites(small_cnn(), 4, margin=1.0)  # the cheapest, on intervals that are too small
    seen = sensitivity(graph, {**candidates, "narrow": narrow}, [images(2, seed=22)])
    options = {
        layer: tuple(replace(o, loss=0.0) if o.name == "narrow" else o for o in row)
        for layer, row in seen.options.items()
    }
    tempting = replace(seen, options=options)
    found = allocated(graph, {**candidates, "narrow": narrow}, tempting, held, Target(levels=40), points=0)
    assert found.excluded and {name for _, name in found.excluded} == {"narrow"}
    assert found.point.loss.inside(HEADROOM) and math.isfinite(found.point.loss.rms)


def test_intervals_that_nothing_keeps_to_list_what_was_given_up():
    graph, candidates, seen, _ = measured()
    bright = held_out(graph, 2.2 * images(16, seed=21))
    with pytest.raises(UsageError) as caught:
        allocated(graph, candidates, seen, bright, Target(levels=60))
    assert caught.value.what == "no allocation of these candidates keeps every value inside its interval"
    assert caught.value.fix == "give candidates with a larger margin, or of higher degrees"


def test_a_target_that_nothing_meets_says_what_the_best_does():
    with pytest.raises(UsageError) as caught:
        allocation(Target(rms=1e-9))
    assert caught.value.what == "no allocation of these candidates is so accurate"
    assert "has the rms" in caught.value.why and "top-1" in caught.value.why


@pytest.mark.parametrize("given", [{}, {"levels": 30, "rms": 0.1}, {"points": 1.0, "rms": 0.1}])
def test_a_target_is_a_budget_or_one_accuracy(given: dict[str, float]):
    with pytest.raises(UsageError) as caught:
        Target(**given)
    assert str(caught.value) == (
        "an allocation needs one target\n"
        "  why  it is a budget (levels, multiplications or both), or an accuracy (points or rms)\n"
        "  fix  give for instance levels=95, or points=0.5"
    )
