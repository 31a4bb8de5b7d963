"""What a verifier expects: exact integers, or words about what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arithmos.cli.expectation import expected_hash, expected_values
from arithmos.errors import UsageError

PORTS: list[dict[str, Any]] = [{"value": "logits", "role": "output"}]


def values(text: str | Path) -> list[int]:
    found = expected_values(PORTS, "output", str(text))["logits"]
    assert found.dtype == np.int64
    return list(found.reshape(-1).tolist())


def refused(text: str | Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        expected_values(PORTS, "output", str(text))
    return caught.value


def test_integers_in_three_forms(tmp_path: Path) -> None:
    largest = (1 << 63) - 1
    assert values(f"1,-2,{largest}") == [1, -2, largest]
    (tmp_path / "x.json").write_text(f"[[1, -2], [3, {largest}]]")
    assert values(tmp_path / "x.json") == [1, -2, 3, largest]
    np.save(tmp_path / "x.npy", np.array([[1, largest]], np.uint64))
    assert values(tmp_path / "x.npy") == [1, largest]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it holds no number"),
        ("1,true", "True is of type bool"),
        ("1,2.5", "2.5 is of type float"),
        ("[1,2],3", "[1, 2] is of type list"),
        ("NaN", "nan is of type float"),
        (f"5,{1 << 63}", f"{1 << 63} has more than 64 bits"),
        (f"{-(1 << 63) - 1}", f"{-(1 << 63) - 1} has more than 64 bits"),
    ],
)
def test_what_is_not_integers(text: str, why: str) -> None:
    error = refused(text)
    assert error.what == f"'{text}' is not integers" and error.why == why


def test_numbers_that_numpy_holds_and_a_verifier_does_not(tmp_path: Path) -> None:
    for array, why in (
        (np.array([1, 1 << 63], np.uint64), f"{1 << 63} has more than 64 bits"),
        (np.array([True]), "True is of type bool"),
        (np.array([1.0]), "1.0 is of type float"),
    ):
        np.save(tmp_path / "x.npy", array)
        assert refused(tmp_path / "x.npy").why == why


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", b""),
        ("x.npy", b"PK\x03\x04broken"),
        ("x.npy", b"[1]"),
        ("x.json", b""),
        ("x.json", b"\xff"),
        ("x.json", b"[" * 200_000),
        ("x.json", b"9" * 5000),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).what.endswith(" is not integers")


@pytest.mark.parametrize("name", ["gone.npy", "gone.json"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    assert str(refused(tmp_path / name)) == (
        f"{name} cannot be read\n"
        f"  at   {tmp_path / name}\n"
        "  why  No such file or directory\n"
        "  fix  give a .npy or .json file, or 1,2,3"
    )


def test_the_case_of_a_model_hash_is_no_difference() -> None:
    assert expected_hash("AB" * 32) == "ab" * 32 and expected_hash(None) == ""
