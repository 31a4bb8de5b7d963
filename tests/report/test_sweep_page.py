"""The page of a sweep says which runs were best, what failed and why, and holds everything it shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arithmos.report import data_set, page
from arithmos.report.data_set import DataSet
from arithmos.report.sweep_page import MOST_ROWS, write_sweep_page
from report.swept import failure, published, regularized, row
from report.test_polynomial_page import check_references, words

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')

FACTS: dict[str, Any] = {"name": "resnet20 <sweep>"}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds and have tests of their own."""
    monkeypatch.setattr(page, "png", lambda figure, theme: f"{figure.name} {theme}".encode())


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    rows = [*published(scalars=(1.0, 1.3)), failure()]
    facts = {
        **FACTS,
        "images": 500,
        "grid": 'bits = "1-8"\nscalar = [1.0, 1.3]',
        "selected": {"rule": "max accuracy where bits<=3", "digests": [rows[5]["Digest"]]},
        "origin": {"calibration": "512 images of cifar10", "data_source": "A. Krizhevsky, 2009"},
        "environment": {"python": "3.11"},
    }
    said = words(write_sweep_page(tmp_path, rows, facts))
    check_references(tmp_path)
    for text in (
        "resnet20 &lt;sweep&gt;",
        "17 runs over a grid of settings, accuracies of 500 images: one image is 0.2 points",
        "91.16 % best top-1, 8 bits (95 % interval 88.4 to 93.4 %)",
        "91.00 % float top-1",
        "5 bits fewest within 0.5 points of float",
        "16 runs done, 1 failed",
        "1.2 min wall time of all runs",
        "Selected: max accuracy where bits&lt;=3.",
        "bits scalar top-1 top-5 zeros bits per weight mean error largest error seconds peak MiB",
        "3 1.3 87.17 % 98.59 % 11.16 % 3.17 0.1 0.3 4.5 730",
        "the worker was &lt;killed&gt;",
        "bits = &#34;1-8&#34;",
        "network resnet20",
        "retain rate 0.25",
        "512 images of cifar10",
        "arXiv:2010.15979",
        "arXiv:2201.11113",
        "Probable Inference",
        "A. Krizhevsky, 2009",
    ):
        assert text in said, text
    assert (tmp_path / "index.html").read_text().count(">selected<") == 1
    for text in ("GPTQ", "SPFQ", "Sparsity", "no run fulfils it"):
        assert text not in said, text
    with (tmp_path / "figures" / "bits_by_scalar.csv").open() as file:
        assert list(csv.reader(file))[:2] == [
            ["line", "bits", "scalar", "top1_percent"],
            ["gpfq", "1.0", "1.0", "10.0"],
        ]


def test_a_sweep_that_failed_wholly_has_a_page(tmp_path: Path) -> None:
    said = words(write_sweep_page(tmp_path, [failure()], FACTS))
    check_references(tmp_path)
    assert "1 run over a grid" in said and "0 runs done, 1 failed" in said and "the worker was" in said
    assert "Best runs" not in said and "Figures" not in said
    assert list((tmp_path / "figures").iterdir()) == []


def test_no_runs_have_a_page(tmp_path: Path) -> None:
    assert "0 runs over a grid" in words(write_sweep_page(tmp_path, [], FACTS))


def test_networks_are_told_apart(tmp_path: Path) -> None:
    rows = [row(Model_Name=name, Bits=b) for name in ("resnet20", "lenet") for b in (2, 8)]
    said = words(write_sweep_page(tmp_path, rows, {**FACTS, "selected": {"rule": "bits < 2", "digests": []}}))
    for text in ("resnet20: best top-1, 8 bits", "lenet: float top-1", "network by network", "; no run fulfils it."):
        assert text in said, text
    assert "95 %" not in said


def test_a_long_table_ends_and_says_so(tmp_path: Path) -> None:
    rows = [row(Seed=seed) for seed in range(MOST_ROWS + 7)]
    said = words(write_sweep_page(tmp_path, rows, FACTS))
    assert "The first 500 of 507; results.csv has them all." in said


@pytest.mark.parametrize(
    ("cells", "work"),
    [
        ({"Method": "gptq_corrected+descent", "Levels": "narrow"}, "2210.17323"),
        ({"Method": "spfq", "Levels": "narrow"}, "2309.10975"),
        ({"Method": "adaround", "Levels": "narrow"}, "2004.10568"),
        ({"Method": "nearest", "Levels": "narrow", "Regularizer": "L1"}, "2201.11113"),
        ({"Method": "nearest", "Levels": "narrow", "Regularizer": None}, ""),
    ],
)
def test_references_follow_the_methods(cells: dict[str, Any], work: str, tmp_path: Path) -> None:
    said = words(write_sweep_page(tmp_path, [{**row(), **cells}], FACTS))
    known = ("2010.15979", "2201.11113", "2309.10975", "2210.17323", "2004.10568")
    expected = {work, "2010.15979"} if work == "2309.10975" else {work} - {""}
    assert {number for number in known if number in said} == expected


def test_the_page_shows_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(images: np.ndarray, labels: Any, counts: Any, names: Any, *, title: str, theme: str) -> bytes:
        return f"{len(images)} {labels} {counts} {names} {title} {theme}".encode()

    monkeypatch.setattr(data_set, "picture_grid", drawn)
    data = DataSet("three pictures", np.zeros((3, 3, 4, 4), np.float32), [0, 0, 1], [7, 5], ["cat", "dog"])
    write_sweep_page(tmp_path, regularized(), FACTS, pictures=data)
    check_references(tmp_path)
    shown = b"3 [0, 0, 1] [7, 5] ['cat', 'dog'] three pictures light"
    assert (tmp_path / "figures" / "data.png").read_bytes() == shown
    assert (tmp_path / "figures" / "data.csv").read_text() == "class,name,pictures,shown\n0,cat,7,2\n1,dog,5,1\n"
