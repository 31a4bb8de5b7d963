"""The section on few bits of a bundle's page: there where the facts are, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import decide
from arithmos.lower.recipe import as_toml
from arithmos.report import page
from arithmos.report.canvas import THEMES
from arithmos.report.few_bits_figures import fit
from arithmos.report.figures import figures
from arithmos.report.page import write_page
from arithmos.report.plots import png
from arithmos.report.weights import weight_histograms
from report.test_polynomial_page import check_references, words

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')

FIT: dict[str, Any] = {
    "method": "gpfq+descent",
    "layers": [
        {
            "name": "conv1",
            "columns": 18,
            "vectors": 1024,
            "dead": 2,
            "relative_error": 0.0625,
            "sparsity": 0.25,
            "bits": 4,
            "note": "damped: <2> columns",
        },
        {
            "name": "fc",
            "columns": 144,
            "vectors": 24,
            "dead": 0,
            "relative_error": None,
            "sparsity": None,
            "bits": 8,
            "note": "",
        },
    ],
    "float_activations": {"top1_percent": 91.25, "top5_percent": None, "total": 500},
}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds and have tests of their own."""
    monkeypatch.setattr(page, "png", lambda figure, theme: f"{figure.name} {theme}".encode())


@pytest.mark.usefixtures("undrawn")
def test_the_page_shows_what_was_fitted(network: Any, tmp_path: Path) -> None:
    prepared, choice = decide(network.graph, calibrate(network.graph, [network.images[:4]]), network.recipe)
    known = {"name": "few", "fit": FIT, "weights": weight_histograms(prepared, choice)}
    said = words(write_page(tmp_path, network.net, known, recipe=as_toml(network.recipe)))
    check_references(tmp_path)
    for text in (
        "Weights rounded by gpfq+descent.",
        "these weights, float activations 91.25 % 500",
        "conv1 4 18 1,024 2 0.0625 25.0 % damped: &lt;2&gt; columns",
        "fc 8 144 24 Histograms",
        "outline before",
    ):
        assert text in said, text
    files = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert files == {"fit", "quantized_weights", "cost"}


@pytest.mark.usefixtures("undrawn")
def test_a_bundle_without_these_facts_has_the_page_it_had(network: Any, tmp_path: Path) -> None:
    for name, known in (("a", {}), ("b", {"fit": None, "weights": []}), ("c", {"fit": {**FIT, "layers": []}})):
        (tmp_path / name).mkdir()
        said = words(write_page(tmp_path / name, network.net, {"name": "few", **known}))
        assert {f.stem for f in (tmp_path / name / "figures").iterdir()} == {"weights", "cost"}
        assert ("Few bits" in said) == (name == "c")


@pytest.mark.usefixtures("undrawn")
def test_accuracies_stand_beside_each_other(network: Any, tmp_path: Path) -> None:
    one = {"correct": 450, "total": 500, "percent": 90.0, "interval": [87.1, 92.3]}
    both = {"float": {**one, "percent": 92.0}, "integer": one, "difference_points": -2.0, "same_prediction": 1}
    both |= {"only_float_correct": 1, "only_integer_correct": 0}
    said = words(write_page(tmp_path, network.net, {"name": "few", "fit": FIT, "accuracy": both}))
    shown = (
        "float 92.00 % 500 these weights, float activations 91.25 % 500 these weights, integer activations 90.00 % 500"
    )
    assert shown in said


@pytest.mark.parametrize(
    ("recipe", "works"),
    [
        ('rounding = "gpfq+descent"', {"2010.15979", "2201.11113"}),
        ('rounding = "spfq"\nlevels = "published"', {"2010.15979", "2309.10975", "2201.11113"}),
        ('rounding = "gptq"', {"2210.17323"}),
        ('rounding = "adaround"', {"2004.10568"}),
        ('rounding = "nearest"', set()),
        ("", set()),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_references_follow_the_rounding(recipe: str, works: set[str], network: Any, tmp_path: Path) -> None:
    said = words(write_page(tmp_path, network.net, {"name": "few"}, recipe=recipe))
    known = ("2010.15979", "2201.11113", "2309.10975", "2210.17323", "2004.10568")
    assert {number for number in known if number in said} == works


def test_what_is_not_known_stays_empty() -> None:
    assert fit(FIT).rows == (
        ("conv1", 4, 18, 1024, 2, 0.0625, 25.0, "damped: <2> columns"),
        ("fc", 8, 144, 24, 0, "", "", ""),
    )


@pytest.mark.slow
def test_the_errors_are_drawn(network: Any) -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    exact = [{**layer, "relative_error": 0.0, "sparsity": 0.0} for layer in FIT["layers"]]
    unknown = [{**layer, "relative_error": None} for layer in FIT["layers"]]
    for layers in (FIT["layers"], exact, unknown):
        figure = next(f for f in figures(network.net, {"fit": {**FIT, "layers": layers}}) if f.name == "fit")
        light, dark = (png(figure, theme) for theme in THEMES)
        assert light.startswith(b"\x89PNG") and light != dark and png(figure) == light
