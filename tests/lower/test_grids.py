"""Which grid a value gets: signs, bits, steps, and which values share one."""

from __future__ import annotations

import numpy as np
import pytest

import factories
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.ir.ops import FLOAT
from arithmos.lower.calibrate import calibrate
from arithmos.lower.grids import (
    KEEPS_SIGN,
    NONNEGATIVE,
    SHARES_GRID,
    assign_grids,
    edge_layers,
    levels_of,
    nearest_level,
    nonnegative_values,
)
from arithmos.lower.quantize import prepare
from arithmos.lower.recipe import Recipe

GRAPH = prepare(factories.float_cnn())
STATS = calibrate(GRAPH, [factories.images(32)])


def test_the_named_ops_exist() -> None:
    assert set(FLOAT) >= NONNEGATIVE | KEEPS_SIGN | SHARES_GRID


def test_rectified_values_are_unsigned_and_others_symmetric() -> None:
    grids = assign_grids(GRAPH, STATS, Recipe())
    unsigned = {name for name, grid in grids.items() if grid.range.lo >= 0}
    assert unsigned == {"x", "relu", "pool", "layer1.relu1", "layer1.relu2", "mean"}
    assert all(grid.range in (Interval(0, 255), Interval(-127, 127)) for grid in grids.values())


def test_minmax_steps_reach_the_last_level() -> None:
    grids = assign_grids(GRAPH, STATS, Recipe(joins="fused"))
    for name in ("x", "relu", "layer1.relu1", "fc"):
        reach = grids[name].step * grids[name].range.hi
        assert reach == pytest.approx(STATS.observations[name].magnitude, rel=1e-6)


def test_bits_by_recipe_override_and_edge() -> None:
    recipe = Recipe(activation_bits=4, edge_bits=7, overrides={"layer1.relu1": {"activation_bits": 6}})
    grids = assign_grids(GRAPH, STATS, recipe)
    assert grids["x"].range == Interval(0, 127), "inputs have edge_bits"
    assert grids["relu"].range == Interval(0, 15)
    assert grids["layer1.relu1"].range == Interval(0, 63)
    assert grids["mean"].range == Interval(0, 127), "the last layer reads it"


def test_observers_choose_the_reach_and_may_differ_between_nodes() -> None:
    overrides = {"layer1.*": {"activation_observer": "mse"}, "layer1.relu2": {"activation_observer": "percentile:90"}}
    plain = assign_grids(GRAPH, STATS, Recipe(activation_bits=4))
    minmax = assign_grids(GRAPH, STATS, Recipe(activation_bits=4, activation_observer="minmax"))
    mixed = assign_grids(GRAPH, STATS, Recipe(activation_bits=4, activation_observer="minmax", overrides=overrides))
    assert plain["layer1.relu1"].step < minmax["layer1.relu1"].step, "auto at 4 bits is a percentile"
    assert mixed["layer1.relu1"].step < minmax["layer1.relu1"].step
    assert mixed["relu"] == minmax["relu"] and mixed["x"] == minmax["x"]


def test_power_of_two_steps() -> None:
    for grid in assign_grids(GRAPH, STATS, Recipe(scales="power_of_two")).values():
        assert np.frexp(grid.step)[0] == 0.5


def test_equal_joins_share_the_coarsest_step() -> None:
    plain, equal = (assign_grids(GRAPH, STATS, Recipe(joins=joins)) for joins in ("fused", "equal"))  # type: ignore[arg-type]
    group = ("layer1.bn2", "pool", "layer1.add", "layer1.relu2")
    assert len({equal[name].step for name in group}) == 1
    assert all(equal[name].step >= plain[name].step * (1 - 1e-5) for name in group)
    assert equal["layer1.relu1"].step == plain["layer1.relu1"].step, "what no join touches keeps its step"


def joined() -> Graph:
    b = Builder("float")
    x = b.input("x", (-1, 2, 4, 4))
    wide = b.add("relu", b.add("mul", x, b.constant("c", np.float32(100))), name="wide")
    pool = {"kernel": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1))}
    pooled = b.add("max_pool", b.add("tanh", x, name="narrow"), name="pooled", **pool)
    total = b.add("concat", wide, pooled, axis=1, name="joined")
    return b.graph(b.add("relu", total, name="after"))


def test_concat_shares_a_step_through_what_rounds_nothing() -> None:
    graph = joined()
    grids = assign_grids(graph, calibrate(graph, [np.linspace(-1, 1, 64).reshape(2, 2, 4, 4)]), Recipe())
    steps = {name: grids[name].step for name in grids}
    assert len({steps[name] for name in ("wide", "pooled", "narrow", "joined", "after")}) == 1
    assert steps["wide"] * 127 == pytest.approx(100, rel=1e-5)
    assert steps["x"] < steps["wide"]


def test_signs() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 2, 4, 4))
    plus, minus = b.add("relu", x, name="plus"), b.add("tanh", x, name="minus")
    expected = {
        b.add("add", plus, plus, name="a"): True,
        b.add("add", plus, minus, name="b"): False,
        b.add("sub", plus, plus, name="c"): False,
        b.add("mul", plus, b.add("exp", minus), name="d"): True,
        b.add("concat", plus, minus, axis=1, name="e"): False,
        b.add("clip", minus, lo=0.0, hi=None, name="f"): True,
        b.add("clip", minus, lo=-1.0, hi=None, name="g"): False,
        b.add("clip", plus, lo=None, hi=3.0, name="h"): False,
        b.add("pad", plus, margins=((0, 0, 0),) * 4, fill=-1.0, name="i"): False,
        b.add("reshape", plus, shape=(-1, 32), name="j"): True,
        b.add("add", plus, b.constant("c", np.ones(4)), name="k"): True,
    }
    graph = b.graph("a")
    stats = calibrate(graph, [np.linspace(-1, 1, 64).reshape(2, 2, 4, 4)])
    positive = nonnegative_values(graph, stats)
    assert {name: name in positive for name in expected} == expected
    assert "x" not in positive and "x" in nonnegative_values(graph, calibrate(graph, [np.ones((1, 2, 4, 4))]))


def test_edge_layers_are_the_first_and_the_last() -> None:
    assert [node.output for node in edge_layers(GRAPH)] == ["bn1", "fc"]


def test_statistics_of_another_graph() -> None:
    other = calibrate(joined(), [np.ones((1, 2, 4, 4))])
    with pytest.raises(UsageError) as caught:
        assign_grids(GRAPH, other, Recipe())
    assert str(caught.value) == (
        "calibration has not seen 10 values of this graph\n"
        "  why  the first is 'bn1'; the statistics belong to another graph\n"
        "  fix  call ar.calibrate on the same graph"
    )


@pytest.mark.parametrize(
    ("lo", "hi", "levels"),
    [
        (0.0, None, (0, 127)),
        (0.0, 1.0, (0, 10)),
        (-0.05, 0.05, (0, 1)),  # ties go up
        (None, 3e38, (-127, 127)),
        (float("-inf"), 5.0, (-127, 50)),
        (20.0, 30.0, (127, 127)),
        (-30.0, -20.0, (-127, -127)),
    ],
)
def test_levels_of_a_clip(lo: float | None, hi: float | None, levels: tuple[int, int]) -> None:
    assert levels_of(0.1, lo, hi, Interval(-127, 127)) == Interval(*levels)


def test_a_bound_beyond_all_integers_stays_in_int64() -> None:
    assert (nearest_level(1e300, 0.1), nearest_level(float("-inf"), 0.1)) == (1 << 62, -(1 << 62))
