"""compare_layers pairs integers with the floats they stand for, and measures what was lost."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe
from arithmos.report.quantization_error import BINS, bin_width, compare_layers, float_partner, n_bins, reference
from arithmos.targets.run import run


def by_name(network: Any, **options: Any) -> dict[str, Any]:
    rows = compare_layers(reference(network.graph, network.recipe), network.net, {"images": network.images}, **options)
    return {row.name: row for row in rows}


def test_every_computed_value_has_a_row(network: Any) -> None:
    assert list(by_name(network)) == [*network.net.inputs, *(node.output for node in network.net.nodes)]


def test_noise_and_range_are_those_of_the_values_themselves(network: Any) -> None:
    rows = by_name(network)
    floats = evaluate(reference(network.graph, network.recipe), {"images": network.images}, every=True)
    integers = run(network.net, network.images, every=True)
    for name, partner in (("images", "images"), ("conv2.acc", "conv2"), ("relu2", "relu2"), ("fc", "fc")):
        step, x = as_float(network.net.values[name].scale), floats[partner].astype(np.float64)
        error = integers[name] * step - x
        assert rows[name].float_name == partner
        assert rows[name].observed == Interval(int(integers[name].min()), int(integers[name].max()))
        assert rows[name].n == x.size
        expected = 10 * math.log10((x * x).sum() / (error * error).sum())
        assert rows[name].sqnr_db == pytest.approx(expected, rel=1e-6)
        assert rows[name].max_steps == pytest.approx(float(np.abs(error / step).max()), rel=1e-6)


def test_a_partial_sum_stands_for_no_float_value(network: Any) -> None:
    row = by_name(network)["relu2.sum"]
    assert (row.float_name, row.sqnr_db, row.max_steps) == (None, None, None)


def test_the_input_is_rounded_by_half_a_step_at_most(network: Any) -> None:
    row = compare_layers(network.graph, network.net, {"images": network.images[:16]})[0]
    assert row.max_steps is not None and row.max_steps <= 0.5 + 1e-6 and row.n_clipped == 0


def test_inputs_beyond_the_calibrated_range_count_as_clipped(network: Any) -> None:
    row = compare_layers(network.graph, network.net, {"images": 10 * network.images})[0]
    levels = 10 * network.images.astype(np.float64) / as_float(network.net.values["images"].scale)
    assert row.n_clipped == int((np.abs(levels) > 127.5).sum()) > 0


def test_the_result_does_not_depend_on_the_pieces_or_the_runner(network: Any) -> None:
    whole, cut, fast = by_name(network, piece=24), by_name(network, piece=5), by_name(network, target="engine")
    for name, row in whole.items():
        for other in (cut[name], fast[name]):
            assert (row.observed, row.n, row.histogram, row.n_clipped) == (
                other.observed,
                other.n,
                other.histogram,
                other.n_clipped,
            )
            assert row.noise == pytest.approx(other.noise)


def test_histograms_count_every_integer_once(network: Any) -> None:
    rows = by_name(network)
    for name in ("images", "relu1", "gate"):
        assert sum(rows[name].histogram) == rows[name].n
    assert rows["conv1.acc"].histogram == ()


@given(st.integers(-(1 << 20), 1 << 20), st.integers(0, (1 << 16) - 1))
def test_bins_cover_the_range_and_are_few(lo: int, span: int) -> None:
    levels = Interval(lo, lo + span)
    assert n_bins(levels) <= BINS
    assert bin_width(levels) * n_bins(levels) >= span + 1 > bin_width(levels) * (n_bins(levels) - 1)


def test_the_reference_is_equalised_where_the_network_is() -> None:
    builder, rng = Builder("float"), np.random.default_rng(0)
    weights = [builder.constant(f"w{i}", rng.normal(size=(4, 4)) * [[1], [2], [30], [4]]) for i in range(2)]
    hidden = builder.add(
        "relu", builder.add("linear", builder.input("x", (-1, 4)), weights[0], name="first"), name="relu"
    )
    graph = builder.graph(builder.add("linear", hidden, weights[1], name="second"))
    x = {"x": rng.normal(size=(8, 4))}
    recipe = Recipe(corrections=("equalize",))
    net = quantize(graph, calibrate(graph, [x["x"]]), recipe)
    noise = {row.name: row.sqnr_db for row in compare_layers(reference(graph, recipe), net, x)}
    against_the_plain_graph = {row.name: row.sqnr_db for row in compare_layers(reference(graph, Recipe()), net, x)}
    assert (noise["relu"] or 0) > 30 > (against_the_plain_graph["relu"] or 0)
    assert noise["second"] == pytest.approx(against_the_plain_graph["second"], rel=1e-3)


def test_a_value_of_another_shape_is_no_partner(network: Any) -> None:
    value = dataclasses.replace(network.net.values["fc"], shape=(-1, 6))
    assert float_partner(network.graph, value) is None


def test_inputs_that_do_not_fit_are_refused(network: Any) -> None:
    with pytest.raises(UsageError, match="has shape"):
        compare_layers(network.graph, network.net, {"images": network.images[:, :1]})
