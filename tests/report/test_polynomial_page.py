"""Pages of polynomial networks, sweeps and coefficients: what was measured, nothing that integers alone have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from arithmos.approx.sets import sign_set
from arithmos.report import page
from arithmos.report.page import write_page
from arithmos.report.polynomial_page import fact_problems, nearest, sweep_problems, write_sets, write_sweep
from report.polynomial_network import facts, polynomial_network, sweep
from report.test_page import References

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds and have tests of their own."""
    monkeypatch.setattr(page, "png", lambda figure, theme: f"{figure.name} {theme}".encode())


def words(file: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", file.read_text()))


def check_references(folder: Path) -> None:
    text, parser = (folder / "index.html").read_text(), References()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)
    for found in parser.found:
        if found.startswith("#"):
            assert found[1:] in parser.anchors
        elif not found.startswith("data:image/png;base64,"):
            assert (folder / found).is_file()


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_a_network_says_what_was_measured(tmp_path: Path) -> None:
    said = words(write_page(tmp_path, polynomial_network(), facts(), recipe='method = "composite"\n'))
    check_references(tmp_path)
    for text in (
        "small &lt;network&gt;",
        "A network of additions and multiplications alone made from small: composite, alpha 7",
        "80.00 % approximate top-1, 8 of 10",
        "90.00 % exact top-1, 9 of 10",
        "17 levels 14 of them in polynomials",
        "22 multiplications in 2 polynomials",
        "Relative difference: −11.11 % of the exact top-1. The two networks agree on the class of 70.00 % of the",
        "their outputs differ by 0.125 rms, of 2.5 rms",
        "With a chain of 30 levels, 14 of them for bootstrapping: 0 values are bootstrapped, 0 on the path",
        "Chosen on 30 held-out images, among those where every value stays well inside its interval: margin 1.5,",
        "1.25 0.01 escapes 1.5 0.01 0.875 87.50 % 0.875",
        "relu2 7 5.5 4 5",
        "margin of the top class is 3.25 on average and 0.5 at least. Its error is 0.0635 on average, 0.0625 to first",
        "for 6 of 8 images; 3 of 128 units lie so near 0",
        "Chosen on 20 held-out images: 9 levels, 18 multiplications, outputs 0.6 rms off, 0.5 predicted",
        "1 polynomials were given up",
        "arXiv:2105.10879",
    ):
        assert text in said, text
    for text in ("integer", "Histograms", "widest value", "Widths"):
        assert text not in said, text
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert names == {f"{f}.{k}" for f in ("levels", "curves", "ranges", "attribution", "front") for k in ("csv", "png")}


@pytest.mark.usefixtures("undrawn")
def test_a_network_without_facts_has_a_page(tmp_path: Path) -> None:
    said = words(write_page(tmp_path, polynomial_network(), {"name": "bare"}))
    check_references(tmp_path)
    assert "bare" in said and "17 levels" in said
    for text in ("Accuracy", "Allocation", "Errors of every layer", "Margin", "Ranges"):
        assert text not in said, text


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_without_labels_has_a_page(tmp_path: Path) -> None:
    known = facts()
    known["deviation"] |= {"exact": None, "approximate": None, "relative_percent": None}
    known["attribution"]["a_priori"] = None
    said = words(write_page(tmp_path, polynomial_network(), known))
    assert "top-1," not in said and "agree on the class of 70.00 %" in said and "certificates alone" not in said


@pytest.mark.parametrize("method", ["square", "relu_aq", "fitted", "minimax"])
@pytest.mark.usefixtures("undrawn")
def test_references_follow_the_method(method: str, tmp_path: Path) -> None:
    said = words(write_page(tmp_path, polynomial_network(), {"name": "x"}, recipe=f'method = "{method}"\n'))
    expected = {"square": "CryptoNets", "relu_aq": "1811.09953", "fitted": "2310.10349", "minimax": "2105.10879"}
    assert expected[method] in said
    assert ("2310.10349" in said) == (method == "fitted")


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_a_sweep(tmp_path: Path) -> None:
    said = words(write_sweep(tmp_path, sweep()))
    check_references(tmp_path)
    for text in (
        "80.40 % exact top-1, 804 of 1,000",
        "3 precisions, 1 with a value outside its interval",
        "alpha 6 the least within half a point of the exact network",
        "7 7-7 15 8 80.00 % 100.00 % 80.00 % 0.25",
        "image 3, fc1: 9.5, B 4, needs 9.51",
    ):
        assert text in said, text
    assert {f.name for f in (tmp_path / "figures").iterdir()} == {"sweep.csv", "sweep.png", "curves.csv", "curves.png"}


def test_the_nearest_alpha() -> None:
    assert nearest({**sweep(), "exact": None}) is None
    assert nearest({**sweep(), "exact": {"images": 10, "top1": 9, "top5": 10}}) is None


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_coefficients(tmp_path: Path) -> None:
    made = [sign_set(4, offset=False), sign_set(7, offset=True)]
    said = words(write_sets(tmp_path, made, "mine"))
    check_references(tmp_path)
    assert "2 composite polynomials for the ReLU" in said and "4 to 7 levels of a ReLU" in said
    assert "7-7 + c 7 11" in said and "−4.751" in said


def test_what_a_page_misses_is_listed() -> None:
    assert fact_problems(json.loads(json.dumps(facts()))) == [] == sweep_problems(sweep())
    damaged: dict[str, Any] = facts()
    del damaged["deviation"]["ranges"], damaged["allocation"]["front"]
    assert fact_problems(damaged) == ["'deviation' lacks ranges", "'allocation' lacks front"]
    assert sweep_problems([]) == sweep_problems({"rows": []}) == ["it has no rows"]
    assert sweep_problems({"rows": [{**sweep()["rows"][0], "name": ""}, 3]})[0] == "it has no name"
    row = {key: cell for key, cell in sweep()["rows"][0].items() if key not in ("raised", "degrees")}
    assert sweep_problems({"name": "x", "rows": [row]}) == ["row 0 lacks degrees, raised"]
