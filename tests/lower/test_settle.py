"""Steps by zkCNN's rule: from float accumulators first, and from the network's own integers where these differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from arithmos.ir.border import to_integers
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, producers
from arithmos.ir.interpret import evaluate
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.choose import choose
from arithmos.lower.grids import assign_grids
from arithmos.lower.lower import lower
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe
from arithmos.lower.settle import settle
from factories import conv

RECIPE = Recipe(scales="power_of_two", weight_scale="tensor", activation_observer="zkcnn")
IMAGE = np.random.default_rng(3).standard_normal((1, 2, 6, 6)).astype(np.float32)


def chain(gain: float = 1.0, *, pool: bool = False) -> Graph:
    """Three convolutions with a relu behind each but the last; the second's accumulators are scaled by `gain`."""
    rng, b = np.random.default_rng(0), Builder("float")
    x = b.input("image", (-1, 2, 6, 6))
    for name, channels, factor in (("a", 2, 1.0), ("b", 4, gain)):
        x = conv(b, x, (rng.standard_normal((4, channels, 3, 3)) * factor).astype(np.float32), name=name)
        if pool and name == "a":
            x = b.add("max_pool", x, kernel=(2, 2), stride=(1, 1), padding=((0, 0), (0, 0)), name="pool")
        x = b.add("relu", x, name=f"{name}.relu")
    return b.graph(conv(b, x, rng.standard_normal((2, 4, 1, 1)).astype(np.float32), name="last"))


def extent(graph: Graph, name: str, image: np.ndarray = IMAGE) -> float:
    """max(x, 0) + max(-x, 0) of a value."""
    values = evaluate(graph, {"image": image}, every=True)[name].astype(np.float64)
    return max(values.max(), 0.0) + max(-values.min(), 0.0)


def step_of(extent_in_reals: float) -> float:
    """2**-k with the largest k for which 255 of these steps reach over the extent."""
    return 2.0 ** -math.floor(math.log2(255 / extent_in_reals))


@pytest.mark.parametrize("pool", [False, True])
def test_the_step_follows_from_both_signs_of_what_relu_reads(pool: bool) -> None:
    graph = chain(pool=pool)
    grids = assign_grids(graph, calibrate(graph, [IMAGE]), RECIPE)
    for name in ("a", "b"):
        assert grids[f"{name}.relu"].step == step_of(extent(graph, name))
    minmax = assign_grids(graph, calibrate(graph, [IMAGE]), Recipe(scales="power_of_two"))
    assert grids["image"] == minmax["image"]
    assert any(grids[f"{n}.relu"].step != minmax[f"{n}.relu"].step for n in ("a", "b"))


def at_the_edge(factor: float) -> tuple[Graph, Stats]:
    """A network whose float accumulators b reach to 255 steps of a power of two, times `factor`."""
    reach = extent(chain(), "b")
    graph = chain(255 * 2.0**-5 / reach * factor)
    return graph, calibrate(graph, [IMAGE])


def own_steps(net: Graph) -> dict[str, tuple[float, float]]:
    """{relu: (its step, the step that follows from the integers it reads)} on the image."""
    values, made_by = evaluate(net, to_integers(net, IMAGE), every=True), producers(net)
    found = {}
    for name in ("a.relu", "b.relu"):
        acc = made_by[name].inputs[0]
        reals = values[acc] * as_float(net.values[acc].scale)  # type: ignore[arg-type]
        found[name] = (
            float(as_float(net.values[name].scale)),  # type: ignore[arg-type]
            step_of(max(reals.max(), 0.0) + max(-reals.min(), 0.0)),
        )
    return found


@pytest.mark.parametrize("factor", [0.98, 0.99, 0.999, 1.001, 1.01, 1.02])
def test_settled_steps_are_those_of_the_networks_own_integers(factor: float) -> None:
    graph, stats = at_the_edge(factor)
    for name, (used, own) in own_steps(quantize(graph, stats, RECIPE)).items():
        assert used == own, name


def test_without_settling_some_are_not() -> None:
    unsettled = []
    for factor in (0.98, 0.99, 0.999, 1.001, 1.01, 1.02):
        graph, stats = at_the_edge(factor)
        steps = own_steps(lower(graph, choose(graph, stats, RECIPE), RECIPE).net)
        unsettled += [used != own for used, own in steps.values()]
    assert any(unsettled)


def test_settled_statistics_stay() -> None:
    graph, stats = at_the_edge(1.001)
    settled = settle(graph, stats, RECIPE)
    assert assign_grids(graph, settle(graph, settled, RECIPE), RECIPE) == assign_grids(graph, settled, RECIPE)


def test_steps_that_never_stay_come_to_an_end() -> None:
    """A residual whose two relus share one step: with either of two steps the integers ask for the other."""
    rng, b = np.random.default_rng(6), Builder("float")
    x = b.input("image", (-1, 2, 6, 6))
    first, second = rng.standard_normal((4, 2, 3, 3)), rng.standard_normal((4, 4, 3, 3))
    y = b.add("relu", conv(b, x, (first * 0.0082082).astype(np.float32), name="a"), name="a.relu")
    z = conv(b, y, (second * 12.14055).astype(np.float32), name="b", padding=((1, 1), (1, 1)))
    join = b.add("add", y, b.add("relu", z, name="b.relu"), name="join")
    graph = b.graph(conv(b, join, rng.standard_normal((2, 4, 1, 1)).astype(np.float32), name="last"))
    stats, recipe = calibrate(graph, [IMAGE]), replace(RECIPE, joins="equal")
    before, after = (assign_grids(graph, s, recipe)["a.relu"].step for s in (stats, settle(graph, stats, recipe)))
    assert {before, after} <= {2.0**-4, 2.0**-5}
