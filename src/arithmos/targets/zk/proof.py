"""Proofs on disk: made by the prover's process with keys that exist or are made on the way.

PROOF/   proof.bin (256 bytes), public.json (snarkjs' form), verifying_key.json, proof.json (the stamp)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arithmos.errors import UsageError, VerificationError
from arithmos.targets.zk.export import R1CS_FILE
from arithmos.targets.zk.field import integer
from arithmos.targets.zk.groth16 import run_steps
from arithmos.targets.zk.keys import (
    PROVING_KEY,
    VERIFYING_KEY,
    key_files,
    maker,
    read_keys,
    stamp_keys,
)
from arithmos.targets.zk.layout import named
from arithmos.targets.zk.r1cs import read_parts
from arithmos.targets.zk.satisfied import satisfied
from arithmos.targets.zk.versioned import KEY_FILE, MAP_FILE, STAMP_FILE, ports, read_versioned
from arithmos.targets.zk.wtns import read_wtns

PROOF_FILE, PUBLIC_FILE = "proof.bin", "public.json"


def setup_and_prove(
    circuit: Path, witness: Path, keys: Path, proof: Path, *, zkey: Path | None = None, **limits: Any
) -> dict[str, Any]:
    """Keys and a proof by one process, which need not read the keys again (that takes longer than making them)."""
    public = public_values(witness, read_versioned(circuit / MAP_FILE))
    said = run_steps(
        [maker(zkey), "save", "prove", "verify"],
        **key_files(circuit, keys, zkey),
        wtns=witness,
        proof=proof / PROOF_FILE,
        public=[str(number) for number in public],
        **limits,
    )
    stamp_keys(circuit, keys, said, zkey)
    return _stamp_proof(circuit, witness, keys, proof, public, said)


def prove(circuit: Path, witness: Path, keys: Path, proof: Path, **limits: Any) -> dict[str, Any]:
    """A proof with keys that exist. Raises UsageError for keys of another circuit or version."""
    public = public_values(witness, read_versioned(circuit / MAP_FILE))
    read_keys(circuit, keys)
    said = run_steps(
        ["load", "prove", "verify"],
        proving_key=keys / PROVING_KEY,
        verifying_key=keys / VERIFYING_KEY,
        wtns=witness,
        proof=proof / PROOF_FILE,
        public=[str(number) for number in public],
        **limits,
    )
    return _stamp_proof(circuit, witness, keys, proof, public, said)


def public_values(witness: Path, map_: Mapping[str, Any]) -> list[int]:
    """The public wires' values. Raises UsageError for a witness of another circuit."""
    elements = read_wtns(witness)
    if len(elements) != map_["n_wires"]:
        raise UsageError(
            "this witness is not one of this circuit",
            where=str(witness),
            why=f"it holds {len(elements)} wires, the circuit has {map_['n_wires']}",
            fix="write witness and circuit together: arithmos export --target zk",
        )
    n = sum(port.count for port in ports(map_["ports"]) if port.public)
    return [integer(element) for element in elements[1 : n + 1]]


def _stamp_proof(
    circuit: Path, witness: Path, keys: Path, proof: Path, public: list[int], said: list[dict[str, Any]]
) -> dict[str, Any]:
    map_ = read_versioned(circuit / MAP_FILE)
    if not said[-1]["holds"]:
        failure = satisfied(read_parts(circuit / R1CS_FILE), read_wtns(witness), map_["n_wires"])
        raise VerificationError(
            "the proof does not hold",
            why=f"the witness breaks {named(map_, failure.constraint)}"
            if failure
            else "the proving key and the verifying key are not of one setup",
            fix="make the witness again from the network"
            if failure
            else "give keys that were made together, or make new ones",
        )
    keys_stamp = read_versioned(keys / KEY_FILE)
    stamp = {
        **{key: keys_stamp[key] for key in ("schema", "arithmos", "groth16py", "curve", "setup")},
        **{key: keys_stamp[key] for key in ("statement", "model_hash")},
        "steps": {line["step"]: {k: v for k, v in line.items() if k not in ("step", "version")} for line in said},
    }
    (proof / VERIFYING_KEY).write_bytes((keys / VERIFYING_KEY).read_bytes())
    (proof / PUBLIC_FILE).write_text(json.dumps([str(number) for number in public]) + "\n")
    (proof / STAMP_FILE).write_text(json.dumps(stamp, indent=1) + "\n")
    return stamp
