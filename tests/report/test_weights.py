"""Histograms count every weight once, before and after, on one axis."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from arithmos.ir.interval import Interval
from arithmos.lower.calibrate import calibrate
from arithmos.lower.choice import Choice, WeightGrid
from arithmos.lower.quantize import decide
from arithmos.lower.recipe import Recipe
from arithmos.report.canvas import THEMES
from arithmos.report.few_bits_figures import quantized_weights
from arithmos.report.plots import png
from arithmos.report.weights import weight_histograms


@pytest.fixture(scope="module", params=[1, 2, 8, 12])
def layers(request: pytest.FixtureRequest, network: Any) -> Any:
    stats = calibrate(network.graph, [network.images[:4]])
    prepared, choice = decide(network.graph, stats, Recipe(weight_bits=request.param, edge_bits=request.param))
    return prepared, choice, json.loads(json.dumps(weight_histograms(prepared, choice)))


def test_every_weight_is_counted_once(layers: Any) -> None:
    _, choice, facts = layers
    assert [layer["name"] for layer in facts] == list(choice.weights) == ["conv1", "conv2", "conv3", "fc"]
    for layer in facts:
        integers = choice.weights[layer["name"]].integers
        assert (
            layer["weights"] == integers.size == sum(n for _, n in layer["before"]) == sum(n for _, n in layer["after"])
        )
        assert layer["zeros"] == pytest.approx(np.mean(integers == 0), abs=1e-6)


def test_integers_are_counted_one_by_one_where_they_are_few(layers: Any) -> None:
    _, choice, facts = layers
    for layer in facts:
        grid = choice.weights[layer["name"]]
        if grid.levels.hi <= 3:
            assert layer["after_bin"] == 1 and layer["unit"] == "step" and layer["spacing"] == 1 + grid.odd
            assert layer["after"] == [[x, int((grid.integers == x).sum())] for x in np.unique(grid.integers).tolist()]
            after = [r for r in quantized_weights([layer]).rows if r[1] == "after"]
            assert [r[5] for r in after] == [n / (1 + grid.odd) for _, n in layer["after"]]


def test_bins_of_a_whole_step_hold_what_rounds_to_them(network: Any) -> None:
    prepared = network.graph
    real = prepared.constants["conv2.weight"].astype(np.float64)
    steps = np.abs(real).max(axis=(1, 2, 3)) / 127
    integers = np.floor(real / steps.reshape(-1, 1, 1, 1) + 0.5).astype(np.int64)
    choice = Choice({}, {"conv2": WeightGrid(steps, Interval(-127, 127), integers)})
    (layer,) = weight_histograms(prepared, choice)
    assert layer["bin"] == layer["after_bin"] == 4
    assert [[x + 0.5, n] for x, n in layer["before"]] == layer["after"]
    rows = quantized_weights([layer]).rows
    assert {r[1] for r in rows} == {"before", "after"} and all(
        -127 <= r[2] <= r[3] <= 127 for r in rows if r[1] == "after"
    )
    assert sum(r[5] * (r[3] - r[2] + 1) for r in rows if r[1] == "after") == pytest.approx(real.size)


@pytest.mark.parametrize("zero", [False, True])
def test_grids_that_reach_far_are_in_units_of_the_largest_weight(zero: bool, network: Any) -> None:
    prepared = network.graph
    real = prepared.constants["conv2.weight"].astype(np.float64)
    integers = np.sign(real).astype(np.int64) * 1000 * (not zero)
    grid = WeightGrid(np.full(1, 0.001), Interval(-1000, 1000), integers)
    (layer,) = weight_histograms(prepared, Choice({}, {"conv2": grid}))
    half = layer["after_bin"] / 2
    assert layer["unit"] == "largest"
    assert [x + half for x, _ in layer["after"]] == ([0.0] if zero else [-1.0, 1.0])
    after = [r for r in quantized_weights([layer]).rows if r[1] == "after"]
    assert [r[2] for r in after] == [r[3] for r in after] == ([0.0] if zero else [-1.0, 1.0])


@pytest.mark.slow
def test_they_are_drawn(layers: Any) -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    figure = quantized_weights(layers[2])
    light, dark = (png(figure, theme) for theme in THEMES)
    assert light.startswith(b"\x89PNG") and light != dark and png(figure) == light
