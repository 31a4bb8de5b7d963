"""The numbers of the figures of polynomials are those of the polynomials, of the facts, and of nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from arithmos.approx.composite import Composite, relu_of
from arithmos.approx.sets import sign_set
from arithmos.lower.rebound import in_value_form
from arithmos.lower.replacement import Replacement
from arithmos.report import polynomial_figures as figures
from arithmos.report.canvas import THEMES
from arithmos.report.plots import png
from report.polynomial_network import facts, polynomial_network, sweep


@pytest.mark.parametrize("offset", [False, True])
def test_the_band_of_a_curve_holds_the_error_and_reaches_the_certificate(offset: bool) -> None:
    composite = sign_set(7, offset=offset)
    figure = figures.curves({"one": composite})
    assert {row[:2] for row in figure.rows} == {("one", "linear"), ("one", "logarithmic")}
    rows = np.array([row[2:] for row in figure.rows if row[1] == "linear"])
    x = rows[:, 0]
    error = relu_of(composite, x) - np.maximum(x, 0)
    assert np.allclose(rows[:, 2], relu_of(composite, x), rtol=1e-5, atol=1e-6)
    assert np.allclose(x * (1 + rows[:, 1]) / 2 + composite.offset, rows[:, 2], atol=1e-5)
    assert np.all(rows[:, 3] <= error + 1e-6) and np.all(error <= rows[:, 4] + 1e-6)
    assert composite.error is not None
    assert np.abs(rows[:, 3:]).max() == pytest.approx(composite.error, rel=1e-2)


def test_a_narrow_peak_between_two_points_is_in_the_band() -> None:
    composite = sign_set(14, offset=False)
    rows = [row for row in figures.curves({"": composite}).rows if row[1] == "linear"]
    assert composite.error is not None
    assert max(max(-row[5], row[6]) for row in rows) == pytest.approx(composite.error, rel=1e-2)


def test_equal_polynomials_of_a_network_are_one_curve_others_are_named_by_their_layers() -> None:
    net = polynomial_network()
    assert list(figures.composites(net)) == ["7-7"]
    second = net.nodes[-2]
    changed = replace(second, attrs={**second.attrs, "offset": 0.25})
    other = replace(net, nodes=(*net.nodes[:-2], changed, net.nodes[-1]))
    assert list(figures.composites(other)) == ["relu1: 7-7", "relu2: 7-7 + c"]


def test_one_polynomial_in_units_of_b_is_a_relu_too() -> None:
    made = sign_set(5, offset=True)
    (series,) = in_value_form(Replacement(made, 4.0)).composite.stages
    net = polynomial_network()
    node = net.nodes[1]
    assert node.op == "polynomial"
    constants = net.constants | {node.inputs[1]: series}
    attrs = {"bound": 4.0, "form": "value", "offset": 0.0, "gain": 4.0}
    other = replace(net, nodes=(net.nodes[0], replace(node, inputs=node.inputs[:2], attrs=attrs)), constants=constants)
    ((name, found),) = figures.composites(other).items()
    x = np.linspace(-1, 1, 101)
    assert name == "14" and np.allclose(relu_of(found, x), relu_of(made, x), atol=1e-12)
    smooth = replace(node, inputs=node.inputs[:2], attrs={**attrs, "gain": 1.0})
    assert figures.composites(replace(other, nodes=(net.nodes[0], smooth))) == {}


def test_equal_names_in_a_file_get_their_place() -> None:
    named = [sign_set(4, offset=False), sign_set(4, offset=True), sign_set(4, offset=False)]
    assert list(dict.fromkeys(row[0] for row in figures.sets(named).rows)) == ["1: 5", "5 + c", "3: 5"]


def test_levels_of_every_polynomial() -> None:
    figure = figures.levels(polynomial_network())
    assert [row[:4] for row in figure.rows] == [("relu1", "7-7", 7, 11), ("relu2", "7-7", 7, 11)]
    assert figure.caption.endswith("17 levels on the longest path, one for each layer that multiplies among them.")


def test_ranges_say_what_was_used_and_raised() -> None:
    rows = figures.ranges(facts()["deviation"]).rows
    assert rows == (("relu1", 4.0, -3.0, 2.0, 75.0, "no"), ("relu2", 5.0, -1.0, 6.0, 120.0, "yes"))
    unchecked = {"ranges": [{"polynomial": "a", "source": "", "bound": None, "lo": None, "hi": None}]}
    assert figures.ranges(unchecked).rows == (("a", "", "", "", "", "no"),)


def test_attribution_without_a_certificate_leaves_its_cells_empty() -> None:
    rows = figures.attribution(facts()["attribution"]).rows
    assert rows == (("relu1", 0.03, 0.3, 3.0, 0.04, 0.05), ("relu2", 0.03, 0.3, "", 0.04, ""))


def test_the_front_holds_the_chosen_plan_and_escapes() -> None:
    rows = figures.front(facts()["allocation"]).rows
    assert rows == (
        (8, 16, 0.7, "", "", "no"),
        (9, 18, 0.5, 0.6, 85.0, "yes"),
        (12, 24, 0.1, 0.2, 85.0, "no"),
    )


def test_a_sweep_keeps_the_row_that_escaped() -> None:
    rows = figures.sweep(sweep()).rows
    assert rows[0] == (4, "5", 9, 8, "", "", "", 80.4, "image 3, fc1: 9.5, B 4, needs 9.51")
    assert rows[2] == (7, "7-7", 15, 8, 80.0, 80.0, 0.25, 80.4, "")


def test_a_network_has_the_figures_its_facts_have_numbers_for() -> None:
    net = polynomial_network()
    assert [f.name for f in figures.network_figures(net, {})] == ["levels", "curves"]
    every = ["levels", "curves", "ranges", "attribution", "front"]
    assert [f.name for f in figures.network_figures(net, facts())] == every


@pytest.mark.slow
def test_every_figure_is_drawn_in_both_looks_and_the_same_each_time() -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    shown = [*figures.network_figures(polynomial_network(), facts()), figures.sweep(sweep())]
    for figure in shown:
        light, dark = (png(figure, theme) for theme in THEMES)
        assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
        assert png(figure, "light") == light


@pytest.mark.slow
def test_figures_without_labels_or_certificates_are_drawn() -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    bare: dict[str, Any] = {"ranges": [{"polynomial": "a", "source": "", "bound": None, "lo": -1.0, "hi": 2.0}]}
    unlabelled = {**sweep(), "exact": None}
    unlabelled["rows"] = [{**row, "top1_percent": None, "agreement_percent": None} for row in unlabelled["rows"]]
    lost = {**facts()["allocation"], "rms": None, "top1": None}
    for figure in (figures.ranges(bare), figures.sweep(unlabelled), figures.front(lost)):
        assert png(figure).startswith(b"\x89PNG")
    quiet = {"layers": [{**facts()["attribution"]["layers"][0], "first_order": 0.0, "absolute": 0.0, "largest": 0.0}]}
    assert png(figures.attribution(quiet)).startswith(b"\x89PNG")


def test_degrees_name_a_composite() -> None:
    assert figures.title(Composite((np.array([0.0, 1.0]), np.array([0.0, 0.5, 0.0, 0.5])), 0.25)) == "1-3 + c"
    assert math.isclose(figures.exact_percent(sweep()), 80.4)
