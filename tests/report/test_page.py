"""The page says what was measured, holds all it shows, and its figures lie beside it as PNG and CSV."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from arithmos.evidence.compare import Difference
from arithmos.evidence.mutate import MutationReport, MutationRow
from arithmos.evidence.verify import Check, Row
from arithmos.ir.codec import digest
from arithmos.lower.recipe import as_toml
from arithmos.report.accuracy import Accuracy
from arithmos.report.environment import environment
from arithmos.report.facts import facts
from arithmos.report.figures import figures
from arithmos.report.page import render, write_page
from arithmos.report.quantization_error import compare_layers, reference
from arithmos.report.verification import verification_facts

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')
pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')


def row(target: str, first: str) -> Row:
    found = Difference("fc", (0, 1), 12, 13, first) if first else None
    return Row(target, "every value", 5, 6, 617, 3, 0.5, 1 if first else 0, found)


CHECK = Check(
    (row("engine", ""), row("c", "<fc>"), Row("onnx", "outputs", skipped="no onnx")), {"given": 3}, 7, 0.25, {"fc": 0}
)
MUTATIONS = MutationReport(
    (MutationRow("weight", 1, 2, 3, ("weight fc.weight[0]: 1 -> 0 by c",)),), ("engine", "c"), 9, ()
)


@pytest.fixture(scope="module")
def measured(network: Any) -> dict[str, Any]:
    document = facts(
        network.net,
        name="small <network>",
        origin={"model": "small", "calibration": "16 images", "seed": 0},
        environment=environment(),
        layers=compare_layers(reference(network.graph, network.recipe), network.net, {"images": network.images}),
        accuracy=Accuracy(total=200, float_correct=180, integer_correct=179, both=175, same=190),
        steps=[{"step": "trace", "wall_s": 1.5, "peak_mb": 300}],
    )
    return {**document, "verification": verification_facts(CHECK, MUTATIONS)}


@pytest.fixture(scope="module")
def folder(network: Any, measured: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    write_page(made, network.net, measured, recipe=as_toml(network.recipe))
    return made


class References(HTMLParser):
    """Everything a page refers to, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.anchors: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            value for key, value in attrs if key in ("src", "href", "srcset", "data", "action", "poster") and value
        ]
        self.anchors |= {value for key, value in attrs if key == "id" and value}
        if tag not in ("meta", "img", "source", "br", "link", "input", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_refers_to_nothing_outside_its_folder(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    parser = References()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)
    for reference_ in parser.found:
        if reference_.startswith("#"):
            assert reference_[1:] in parser.anchors
        elif not reference_.startswith("data:image/png;base64,"):
            assert (folder / reference_).is_file()


def test_pictures_are_embedded_in_both_looks(folder: Path) -> None:
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", (folder / "index.html").read_text())
    assert len(pictures) == 10 == len(set(pictures))
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)


def test_every_figure_has_its_picture_and_its_numbers_beside_the_page(
    folder: Path, network: Any, measured: dict[str, Any]
) -> None:
    shown = figures(network.net, measured)
    assert [figure.name for figure in shown] == ["widths", "error", "weights", "activations", "cost"]
    assert {f.name for f in (folder / "figures").iterdir()} == {
        f"{s.name}.{kind}" for s in shown for kind in ("png", "csv")
    }
    for figure in shown:
        with (folder / "figures" / f"{figure.name}.csv").open() as file:
            header, *rows = csv.reader(file)
        assert tuple(header) == figure.columns
        assert rows == [[str(cell) for cell in row] for row in figure.rows]


def test_the_page_says_what_was_measured(folder: Path, network: Any) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (folder / "index.html").read_text()))
    for said in (
        "89.50 %",
        "90.00 %",
        "Integer minus float: −0.50 points",
        "agree on the class of 190 samples; only the float network is right on 5, only the integer network on 4",
        "integers compared, not all equal",
        "fc[0, 1]: expected 12, got 13, at &lt;fc&gt;",
        "no onnx",
        "7 roundings among them are exact ties",
        "missed: weight fc.weight[0]: 1 -&gt; 0 by c",
        "small &lt;network&gt;",
        "16 images",
        "arXiv:1712.05877",
        digest(network.net),
    ):
        assert said in text


def test_a_bundle_without_measurements_has_a_page(network: Any, tmp_path: Path) -> None:
    page = write_page(tmp_path, network.net, {"name": "bare"})
    text = page.read_text()
    assert "Verification" not in text and "Accuracy" not in text and "13,680" in text
    assert sorted(f.name for f in (tmp_path / "figures").iterdir()) == [
        "cost.csv",
        "cost.png",
        "weights.csv",
        "weights.png",
    ]


def test_the_page_is_made_from_json_alone(network: Any, measured: dict[str, Any]) -> None:
    again = json.loads(json.dumps(measured, allow_nan=False))
    shown, recipe = figures(network.net, again), as_toml(network.recipe)
    pictures = {figure.name: {"light": b"1", "dark": b"2"} for figure in shown}
    assert shown == figures(network.net, measured)
    assert render(network.net, again, shown, pictures, recipe) == render(network.net, measured, shown, pictures, recipe)


def test_saturation_shows_where_the_grid_ends(network: Any, measured: dict[str, Any]) -> None:
    widths = {row[0]: row for row in figures(network.net, measured)[0].rows}
    assert widths["relu1"][2:6] == ("grid", 0, 255, 8) and widths["relu1"][-2:] == (0, 255)
    assert widths["conv1.acc"][2] == "accumulator" and widths["conv1.acc"][-2:] == ("", "")
    assert "flat" not in widths
