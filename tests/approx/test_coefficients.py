"""Coefficient files: the same numbers back, and every file that states too much is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from arithmos.approx import coefficients
from arithmos.approx.composite import Composite
from arithmos.approx.sets import SHIPPED
from arithmos.errors import UsageError, VerificationError


def test_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = (
        Composite((np.array([0.0, 0.9, 0.0, 0.1]), np.array([0.0, 1.2])), 0.125, 0.6),
        Composite((rng.standard_normal(9),)),
    )
    file = tmp_path / "c.json"
    file.write_text(coefficients.text(given))
    for old, new in zip(given, coefficients.load(file), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old.stages, new.stages, strict=True))
        assert (old.offset, old.error) == (new.offset, new.error)


def changed(tmp_path: Path, change) -> Path:
    document = json.loads(SHIPPED.read_text())
    change(document["composites"][0])
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(document))
    return file


def test_a_certificate_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        coefficients.load(changed(tmp_path, lambda row: row.update(error=(2.0**-5).hex())))
    text = str(caught.value)
    assert text.startswith(f"the coefficients do not keep what their file states\n  at   {tmp_path / 'changed.json'}\n")
    assert "  why  degrees [5], constant 0: the error reaches 0.037" in text and ", the file states 0.03125\n" in text
    assert text.endswith("\n  fix  restore the file, or state no error: null")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"error": "inf"}, "an error is a positive number, not inf"),
        ({"degrees": [3, 3]}, "degrees [3, 3] are stated, the stages have [5]"),
    ],
)
def test_a_statement_that_is_none_is_refused(tmp_path: Path, row: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        coefficients.load(changed(tmp_path, lambda composite: composite.update(row)))
    assert caught.value.why == f"ValueError: {why}"


def test_a_changed_coefficient_is_refused(tmp_path: Path) -> None:
    def change(row) -> None:
        row["stages"][0][1] = (float.fromhex(row["stages"][0][1]) + 1e-3).hex()

    with pytest.raises(VerificationError, match="the error reaches"):
        coefficients.load(changed(tmp_path, change))


def test_a_stage_that_leaves_its_interval_is_refused(tmp_path: Path) -> None:
    def change(row) -> None:
        row["stages"].insert(0, ["0", (1.25).hex()])
        row["degrees"].insert(0, 1)

    with pytest.raises(VerificationError) as caught:
        coefficients.load(changed(tmp_path, change))
    assert "degrees [1, 5], constant 0: stage 1 reaches 1.25 on [-1, 1], the next one takes 1" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "TypeError: list indices must be integers or slices, not str"),
        ("{}", "KeyError: 'schema'"),
        ('{"schema": 2}', "ValueError: its schema is 2, this version reads 1"),
        (
            '{"schema": 1, "composites": [{"stages": [["x"]]}]}',
            "ValueError: invalid hexadecimal floating-point string",
        ),
        ('{"schema": 1, "composites": [{"stages": [[1.5]]}]}', "TypeError: bad argument type for built-in operation"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        coefficients.load(file)
    assert str(caught.value) == (
        "this is no file of coefficients\n"
        f"  at   {file}\n"
        f"  why  {why}\n"
        "  fix  give a file that `arithmos.approx.coefficients.text` wrote"
    )


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    file = changed(tmp_path, lambda row: row["stages"][0].__setitem__(3, "nan"))
    with pytest.raises(UsageError, match="stage 1: the coefficient of T_3 is nan"):
        coefficients.load(file)
