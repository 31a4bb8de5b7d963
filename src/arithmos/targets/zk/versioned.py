"""The JSON beside binary files, each with a schema number: circuit.json, key.json, proof.json. Read here alone.

A verifier reads proof.json of a prover whom nobody trusts: whatever it may hold is either understood or refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arithmos.errors import UsageError
from arithmos.ir.codec import malformed
from arithmos.ir.interval import INT64, Interval

SCHEMA = 2
MOST_AXES = 32
"""numpy has arrays of at most 64 axes, before version 2 of 32."""

MOST_BYTES = 64 << 20
"""Of a text in a proof's folder: more is none that a prover of ours wrote."""

MAP_FILE, KEY_FILE, STAMP_FILE = "circuit.json", "key.json", "proof.json"

_STAMP: dict[str, type] = dict.fromkeys(("arithmos", "groth16py", "curve", "model_hash", "setup"), str)
_STAMP |= {"statement": dict}
FORMS: dict[str, tuple[dict[str, type], str, str]] = {
    MAP_FILE: (
        {"circuit": str, "field": str, "n_wires": int, "n_constraints": int, "ports": list, "constraints": list}
        | {"values": dict, "shapes": dict},
        "arithmos export BUNDLE --target zk",
        "OUT",
    ),
    KEY_FILE: (_STAMP | {"r1cs_sha256": str}, "arithmos prove", "OUT/keys"),
    STAMP_FILE: (_STAMP | {"steps": dict}, "arithmos prove", "OUT/proof"),
}
"""file -> (what it must hold, the command that makes it, the folder that the command puts it in)."""


@dataclass(frozen=True, slots=True)
class Port:
    """A value on the border: its role (input, output), its first wire, its shape, its proven range, whether it is
    public."""

    value: str
    role: str
    first: int
    shape: tuple[int, ...]
    range: tuple[int, int]
    public: bool

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)


def read_versioned(path: Path) -> dict[str, Any]:
    """The document. Raises UsageError where it is missing, damaged, of another version, or not what its name says."""
    fields, command, folder = FORMS[path.name]
    if not path.is_file():
        inside = path.parent / Path(folder).name
        raise UsageError(
            f"there is no {path.name}",
            where=str(path.parent),
            why=f"`{command}` writes it into {folder}",
            fix=f"give {inside}" if (inside / path.name).is_file() else f"give that {folder}",
        )
    text = read_limited(path) if path.name == STAMP_FILE else path.read_bytes()
    with malformed(lambda why: _unreadable(path, why)):
        found: dict[str, Any] = json.loads(text)
        schema = found["schema"]
    if schema != SCHEMA:
        raise UsageError(
            f"{path.name} has schema {schema}",
            where=str(path),
            why=f"this version of arithmos reads {SCHEMA}",
            fix=f"make it again with this version: {command}",
        )
    wrong = [name for name, kind in fields.items() if not _is(found.get(name), kind)]
    if wrong:
        raise _unreadable(path, f"it has no {', '.join(wrong)} as `{command}` writes it")
    with malformed(lambda why: _unreadable(path, f"its ports are not those of a circuit: {why}")):
        ports(found["ports"] if path.name == MAP_FILE else found["statement"]["public"])
    return found


def read_limited(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a prover's file. Raises UsageError for more than `most`."""
    with path.open("rb") as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise UsageError(
            f"{path.name} cannot be read",
            where=str(path),
            why=f"it has more than {most:,} bytes, which no such file of a proof has",
            fix="ask the prover for it again",
        )
    return found


def _is(entry: Any, kind: type) -> bool:
    """Texts are one printable line: what is printed of them must not look like something else that is printed."""
    return type(entry) is kind and (not isinstance(entry, str) or entry.isprintable())


def ports(entries: list[Mapping[str, Any]]) -> list[Port]:
    """The ports of a document. Raises KeyError, TypeError or ValueError for what describes none."""
    return [_port(entry) for entry in entries]


def _port(entry: Mapping[str, Any]) -> Port:
    lo, hi = entry["range"]
    shape = tuple(entry["shape"])
    port = Port(entry["value"], entry["role"], entry["first"], shape, (lo, hi), entry["public"])
    if not all(type(number) is int for number in (lo, hi, port.first, *shape)) or type(port.public) is not bool:
        raise TypeError(f"{entry['value']!r} is not described by integers")
    named = _is(port.value, str) and port.role in ("input", "output") and len(shape) <= MOST_AXES
    if not named or port.first < 1 or not all(0 < extent < 1 << 31 for extent in shape):
        raise ValueError(f"{entry['value']!r} is no value on the border")
    if lo > hi or Interval(lo, hi) not in INT64:
        raise ValueError(f"{entry['value']!r} has the range {lo} .. {hi}")
    return port


def _unreadable(path: Path, why: str) -> UsageError:
    _, command, _ = FORMS[path.name]
    return UsageError(f"{path.name} cannot be read", where=str(path), why=why, fix=f"make it again: {command}")
