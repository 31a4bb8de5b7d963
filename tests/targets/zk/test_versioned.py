"""The JSON files are read in one place, which understands what it reads or refuses it, whoever wrote it."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arithmos.errors import UsageError, VerificationError
from arithmos.targets.zk.verification import public_integers
from arithmos.targets.zk.versioned import MAP_FILE, STAMP_FILE, ports, read_versioned
from targets.zk.conftest import Written

PORTS = [
    {"value": "y", "role": "output", "first": 1, "shape": [1, 2], "range": [-9, 9], "public": True},
    {"value": "x", "role": "input", "first": 3, "shape": [1, 3], "range": [0, 15], "public": True},
]
STAMP: dict[str, Any] = {
    **{"schema": 2, "arithmos": "0", "groth16py": "0", "curve": "bn254", "setup": "s", "model_hash": "h", "steps": {}},
    "statement": {"model": "m", "circuit": "c", "field": "bn254", "output": "values", "public": PORTS},
}


def written_as(folder: Path, text: str, name: str = STAMP_FILE) -> Path:
    (folder / name).write_text(text)
    return folder / name


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_versioned(path)
    return str(caught.value)


def test_what_is_written_is_read(written: Written, tmp_path: Path) -> None:
    assert read_versioned(written.folder / MAP_FILE)["n_constraints"] == written.circuit.n_constraints
    found = read_versioned(written_as(tmp_path, json.dumps(STAMP)))
    assert found == STAMP and [port.count for port in ports(found["statement"]["public"])] == [2, 3]


def test_another_version(tmp_path: Path) -> None:
    assert refused(path := written_as(tmp_path, json.dumps({**STAMP, "schema": 9}))) == (
        f"proof.json has schema 9\n  at   {path}\n"
        "  why  this version of arithmos reads 2\n"
        "  fix  make it again with this version: arithmos prove"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / MAP_FILE) == (
        f"there is no circuit.json\n  at   {tmp_path}\n"
        "  why  `arithmos export BUNDLE --target zk` writes it into OUT\n"
        "  fix  give that OUT"
    )


def test_the_folder_above_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "proof").mkdir()
    written_as(tmp_path / "proof", json.dumps(STAMP))
    assert refused(tmp_path / STAMP_FILE) == (
        f"there is no proof.json\n  at   {tmp_path}\n"
        "  why  `arithmos prove` writes it into OUT/proof\n"
        f"  fix  give {tmp_path / 'proof'}"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[1]", "list indices must be integers or slices, not str"),
        ("{}", "it lacks 'schema'"),
        ("[" * 100_000, "maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ('{"schema": 2, "curve": "bn254"}', "it has no arithmos, groth16py, model_hash, setup, statement, steps as"),
        (json.dumps({**STAMP, "setup": "a ceremony\nlogits: [7]"}), "it has no setup as `arithmos prove` writes it"),
        (json.dumps({**STAMP, "curve": "\x1b[8m"}), "it has no curve as `arithmos prove` writes it"),
        (json.dumps({**STAMP, "statement": {}}), "its ports are not those of a circuit: it lacks 'public'"),
    ],
)
def test_damage(tmp_path: Path, text: str, why: str) -> None:
    path = written_as(tmp_path, text)
    assert refused(path).startswith(f"proof.json cannot be read\n  at   {path}\n  why  {why}")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"first": 0}, "'y' is no value on the border"),
        ({"first": True}, "'y' is not described by integers"),
        ({"shape": [1 << 40]}, "'y' is no value on the border"),
        ({"shape": [2.0]}, "'y' is not described by integers"),
        ({"range": [5, 4]}, "'y' has the range 5 .. 4"),
        ({"range": [0, 1 << 70]}, "'y' has the range 0 .. 1180591620717411303424"),
        ({"role": "weights"}, "'y' is no value on the border"),
        ({"shape": [1] * 33}, "'y' is no value on the border"),
        ({"value": "y: 7\nz"}, "'y: 7\\nz' is no value on the border"),
        ({"value": "\ud800"}, "'\\ud800' is no value on the border"),
    ],
)
def test_ports_that_no_circuit_has(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    statement = {**STAMP["statement"], "public": [{**PORTS[0], **change}, PORTS[1]]}
    path = written_as(tmp_path, json.dumps({**STAMP, "statement": statement}))
    assert f"\n  why  its ports are not those of a circuit: {why}\n" in refused(path)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
ANYTHING = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=2))
PLACES = [("statement",), ("statement", "public"), ("statement", "public", 0), ("schema",), ("steps",)]
PLACES += [("statement", "public", 1, key) for key in PORTS[0]] + [("statement", "public", 0, "range", 1)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_a_prover_writes_is_understood_or_refused(tmp_path: Path, place: tuple[Any, ...], new: Any) -> None:
    stamp = copy.deepcopy(STAMP)
    inside: Any = stamp
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = new
    with suppress(UsageError, VerificationError):
        found = read_versioned(written_as(tmp_path, json.dumps(stamp)))
        for port in ports(found["statement"]["public"]):
            assert public_integers(port, [3, 4, 5, 6, 7]).shape == port.shape
