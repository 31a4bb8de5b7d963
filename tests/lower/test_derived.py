"""Derivations: every constant that has one is exactly what its formula gives of the float constants and the steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

import random_networks
from arithmos.errors import RangeError
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.lower.calibrate import calibrate
from arithmos.lower.choose import choose
from arithmos.lower.derived import Derived
from arithmos.lower.factor import Factor, constant, of_step
from arithmos.lower.lower import Lowered, lower
from arithmos.lower.quantize import finish, prepared_by, quantize
from arithmos.lower.recipe import Recipe
from lower.test_rules import NETWORKS, data, network
from lower.trained import trained

RECIPES = [
    Recipe(),
    Recipe(weight_bits=3, activation_bits=5, multiplier_bits=9, corrections=("equalize", "bias")),
    Recipe(scales="power_of_two", weight_scale="tensor", joins="equal"),
    Recipe(weight_bits=12, activation_bits=12, edge_bits=12, weight_scale="tensor"),
    Recipe(scales="power_of_two", joins="equal"),
]


def subjects() -> Iterator[tuple[Graph, np.ndarray]]:
    for make in NETWORKS.values():
        yield network(make), data(4)
    for seed, kind in itertools.product(range(12), ("conv", "linear")):
        graph = random_networks.float_chain(seed, kind)
        yield graph, np.random.default_rng(seed).normal(size=(4, *graph.values["x"].shape[1:])).astype(np.float32)


def assert_derived(prepared: Graph, lowered: Lowered) -> None:
    """Equal after broadcasting: a constant of equal numbers is stored as one."""
    for name, how in lowered.derived.items():
        again = how.integers(prepared.constants, lowered.steps)
        stored = lowered.net.constants[name]
        assert np.array_equal(np.broadcast_to(stored, np.broadcast_shapes(stored.shape, again.shape)), again), name
        assert again.size == stored.size or stored.size == 1, name


@pytest.mark.parametrize("recipe", [RECIPES[0], *(pytest.param(r, marks=pytest.mark.slow) for r in RECIPES[1:])])
def test_every_derivation_reproduces_its_constant(recipe: Recipe) -> None:
    for graph, x in subjects():
        prepared, stats = prepared_by(graph, calibrate(graph, [x]), recipe)
        choice = choose(prepared, stats, recipe)
        lowered = lower(prepared, choice, recipe)
        assert_derived(prepared, lowered)
        extra = set(lowered.steps) - set(choice.steps)
        assert all(owner.endswith(".aligned") for owner in extra)
        without = set(lowered.net.constants) - set(lowered.derived)
        data_of = {(i, node.op) for node in lowered.net.nodes for i, n in enumerate(node.inputs) if n in without}
        assert data_of <= {(1, "table"), (0, "where"), (1, "gather")}, "tables, masks and indices: nothing else"


def test_quantize_is_choose_lower_and_finish() -> None:
    graph, stats = trained()
    for recipe in RECIPES:
        prepared, seen = prepared_by(graph, stats, recipe)
        net = finish(lower(prepared, choose(prepared, seen, recipe), recipe).net, graph)
        again = quantize(graph, stats, recipe)
        assert all(np.array_equal(net.constants[n], a) for n, a in again.constants.items())


def test_the_sources_and_steps_of_a_residual_block() -> None:
    graph, stats = trained(batch_norm=False)
    prepared, _ = prepared_by(graph, stats)
    derived = lower(prepared, choose(prepared, stats)).derived
    weight, bias, mul = (derived[n] for n in ("layer1.conv1.weight", "layer1.conv1.bias", "layer1.relu1.mul"))
    assert (weight.source, weight.powers) == ("layer1.conv1.weight", {"layer1.conv1.weight": -1})
    assert (weight.levels, weight.axis) == (Interval(-127, 127), -4)
    assert (bias.source, bias.powers) == ("layer1.conv1.bias", {"pool": -1, "layer1.conv1.weight": -1})
    assert mul.powers == {"pool": 1, "layer1.conv1.weight": 1, "layer1.relu1": -1} and mul.axis == -3
    assert isinstance(mul.source, np.ndarray) and mul.source == 2**24 and mul.levels is None
    assert derived["fc.mul"].powers == {"mean": 1, "fc.weight": 1, "fc.aligned": -1}
    assert derived["mean.mul"].powers == {"layer1.relu2": 1, "mean": -1}


def test_values_that_share_a_step_share_an_owner() -> None:
    graph, stats = trained()
    grids = choose(*prepared_by(graph, stats, equal := Recipe(joins="equal")), equal).grids
    assert grids["layer1.add"].owner == grids["layer1.bn2"].owner == grids["pool"].owner
    assert grids["relu"].owner != grids["layer1.relu1"].owner
    steps = {}
    for grid in grids.values():
        assert steps.setdefault(grid.owner, grid.step) == grid.step


def test_the_formula() -> None:
    steps = {"x": np.asarray(0.5), "w": np.array([0.25, 2.0])}
    weight = Derived("w0", {"w": -1}, Interval(-3, 3), axis=-2)
    assert weight.integers({"w0": np.array([[0.125, -0.125], [9.0, -1.0]])}, steps).tolist() == [[1, 0], [3, 0]]
    bias = Derived("b", {"x": -1, "w": -1}, gain=2.0)
    assert bias.integers({"b": np.array([0.5, -0.5])}, steps).tolist() == [8, -1]
    with pytest.raises(RangeError, match="does not fit 64 bits"):
        Derived(np.asarray(1e30), {}).integers({}, {})
    clipped = Derived(np.asarray(-1e30), {}, Interval(-7, 7))
    assert clipped.integers({}, {}) == -7, "what stands for infinity is clipped"


def test_factors_multiply_divide_and_cancel() -> None:
    x, w = of_step("x", 0.5), of_step("w", np.array([0.25, 0.75]))
    acc = x * w
    assert acc.array.tolist() == [0.125, 0.375] and acc.inverse.array.tolist() == [8.0, 1 / 0.375]
    assert {s.owner: p for s, p in (acc / x).powers.items()} == {"w": 1}
    assert (acc * 2.0 + acc).coefficient == 3.0 and (acc + x).powers == {}
    assert acc.number is None and float(x * 3.0) == 1.5


def test_a_factor_of_equal_numbers_is_one_number() -> None:
    x, by_chance, shared = of_step("x", 0.5), of_step("w", np.full(3, 0.25)), of_step("t", np.array([0.25]))
    for factor, powers in ((x * by_chance, {"x": 1}), (x * shared, {"x": 1, "t": 1})):
        number: Factor | None = factor.number
        assert number is not None and float(number) == 0.125
        assert {s.owner: p for s, p in number.powers.items()} == powers
    assert constant(np.zeros(0)).number is None
