"""Keys on disk, stamped with what they are about.

KEYS/    proving.key, verifying_key.json (snarkjs' form), key.json (the stamp)

A model is known by one hash, over its verifying key and what a proof under it states: the network, the circuit, which
wires are which public value and in which range. Weights, structure and rounding are constants of the circuit, so
another model has another key, and no proof verifies under it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arithmos import __version__
from arithmos.errors import UsageError
from arithmos.targets.zk.export import R1CS_FILE
from arithmos.targets.zk.field import NAME
from arithmos.targets.zk.groth16 import run_steps
from arithmos.targets.zk.versioned import KEY_FILE, MAP_FILE, SCHEMA, read_versioned

PROVING_KEY, VERIFYING_KEY = "proving.key", "verifying_key.json"

DEVELOPMENT = (
    "single-party, development grade: whoever ran it could forge proofs; for real use give a key of a ceremony (--zkey)"
)


def model_hash(verifying_key: bytes, statement: Mapping[str, Any]) -> str:
    """sha256 of the verifying key's and the statement's sha256 (64 bytes): the model's identity."""
    text = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in (verifying_key, text))).hexdigest()


def statement_of(map_: Mapping[str, Any]) -> dict[str, Any]:
    """What a proof says beside numbers: the network, the circuit, the field, and the public values."""
    public = [port for port in map_["ports"] if port["public"]]
    return {**{key: map_.get(key) for key in ("model", "circuit", "field", "output")}, "public": public}


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def setup(circuit: Path, keys: Path, *, zkey: Path | None = None, **limits: Any) -> dict[str, Any]:
    """Write KEYS for a circuit's folder: by a single-party setup, or from a ceremony's key. Returns the stamp."""
    said = run_steps([maker(zkey), "save"], **key_files(circuit, keys, zkey), **limits)
    return stamp_keys(circuit, keys, said, zkey)


def maker(zkey: Path | None) -> str:
    """The step that makes keys: a setup, or the import of a ceremony's key."""
    return "ceremony" if zkey else "setup"


def key_files(circuit: Path, keys: Path, zkey: Path | None) -> dict[str, Any]:
    """The file names of the steps that make keys."""
    return {
        "r1cs": circuit / R1CS_FILE,
        "zkey": zkey,
        "proving_key": keys / PROVING_KEY,
        "verifying_key": keys / VERIFYING_KEY,
    }


def stamp_keys(circuit: Path, keys: Path, said: list[dict[str, Any]], zkey: Path | None) -> dict[str, Any]:
    """Write key.json: what the keys are for, who made them and how."""
    map_ = read_versioned(circuit / MAP_FILE)
    stamp = {
        "schema": SCHEMA,
        "arithmos": __version__,
        "groth16py": said[0]["version"],
        "curve": NAME,
        "r1cs_sha256": file_hash(circuit / R1CS_FILE),
        "statement": statement_of(map_),
        "model_hash": model_hash((keys / VERIFYING_KEY).read_bytes(), statement_of(map_)),
        "setup": f"ceremony key, sha256 {file_hash(zkey)}" if zkey else DEVELOPMENT,
    }
    (keys / KEY_FILE).write_text(json.dumps(stamp, indent=1) + "\n")
    return stamp


def read_keys(circuit: Path, keys: Path) -> dict[str, Any]:
    """key.json. Raises UsageError for keys that are missing, changed, of another version, or of another circuit."""
    stamp = read_versioned(keys / KEY_FILE)
    problems = []
    if not (keys / PROVING_KEY).is_file() or not (keys / VERIFYING_KEY).is_file():
        problems.append(f"there is no {PROVING_KEY} or no {VERIFYING_KEY}")
    elif model_hash((keys / VERIFYING_KEY).read_bytes(), stamp["statement"]) != stamp["model_hash"]:
        problems.append(f"{VERIFYING_KEY} or {KEY_FILE} was changed after it was written")
    said, here = stamp["statement"], statement_of(read_versioned(circuit / MAP_FILE))
    if other := [name for name in here if said.get(name) != here[name]]:
        problems.append(f"they are for another statement: other {', '.join(other)} (the network, --public, --output)")
    if stamp["r1cs_sha256"] != file_hash(circuit / R1CS_FILE):
        problems.append(
            f"they are for circuit {stamp['r1cs_sha256'][:16]}, this is {file_hash(circuit / R1CS_FILE)[:16]}"
        )
    if problems:
        raise UsageError(
            "these keys are not this circuit's", where=str(keys), why="\n".join(problems), fix="make them again"
        )
    return stamp


def solidity(verifying_key: Path, path: Path) -> None:
    """Write the Solidity contract that verifies proofs under this key."""
    run_steps(["solidity"], verifying_key=verifying_key, solidity=path)
