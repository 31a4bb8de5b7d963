"""`arithmos report` of polynomials: a bundle, a sweep's folder, a file of coefficients, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from arithmos.approx import coefficients
from arithmos.approx.sets import sign_set
from arithmos.ir.codec import save
from arithmos.report import page
from report.polynomial_network import facts, polynomial_network, sweep

pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "png", lambda figure, theme: f"{figure.name} {theme}".encode())


def bundle(folder: Path, document: dict[str, Any]) -> Path:
    return save(polynomial_network(), folder, report=document)


def test_a_bundle_a_sweep_and_coefficients(arithmos: Any, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(sweep()))
    (tmp_path / "mine.json").write_text(coefficients.text([sign_set(4, offset=True)]))
    bundle(tmp_path / "net", facts())
    for name, said in (
        ("net", "additions and multiplications"),
        ("sweep", "precision by precision"),
        ("mine.json", "mine"),
    ):
        result = arithmos("report", tmp_path / name, "-o", tmp_path / "pages" / name)
        assert result.exit_code == 0, result.stderr
        assert said in (tmp_path / "pages" / name / "index.html").read_text()


def test_evidence_of_integers_goes_with_a_bundle(arithmos: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(coefficients.text([sign_set(4, offset=True)]))
    result = arithmos("report", file, "--verification", file, "-o", tmp_path / "page")
    assert result.exit_code == 2 and not (tmp_path / "page").exists()
    assert f"--verification and --proof go with a bundle, {file} is of the kind coefficients" in result.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "Expecting property name"), ("[]", "it has no rows"), ('{"name": "x", "rows": [1]}', "row 0 lacks alpha,")],
)
def test_a_damaged_sweep(text: str, why: str, arithmos: Any, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(text)
    result = arithmos("report", tmp_path, "-o", tmp_path / "page")
    assert result.exit_code == 2 and "this is not the result of a sweep" in result.stderr and why in result.stderr


def test_a_section_that_lacks_what_the_page_needs(arithmos: Any, tmp_path: Path) -> None:
    damaged = facts()
    del damaged["deviation"]["raised"]
    result = arithmos("report", bundle(tmp_path / "net", damaged), "-o", tmp_path / "page")
    assert result.exit_code == 2 and "'deviation' lacks raised" in result.stderr


def test_a_section_of_another_kind(arithmos: Any, tmp_path: Path) -> None:
    result = arithmos("report", bundle(tmp_path / "net", {"name": "x", "allocation": []}), "-o", tmp_path / "page")
    assert result.exit_code == 2 and "'allocation' is no object" in result.stderr
