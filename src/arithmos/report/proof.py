"""A verified proof as plain data, for --json and the page: its cost by layer and gadget, seconds, sizes, hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.codec import digest, malformed
from arithmos.ir.graph import Graph
from arithmos.targets.public_values import ROLES
from arithmos.targets.zk.circuit import Circuit, planned
from arithmos.targets.zk.cost import plan_of
from arithmos.targets.zk.keys import PROVING_KEY
from arithmos.targets.zk.proof import PROOF_FILE
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.versioned import KEY_FILE, STAMP_FILE, read_versioned

MOST_SHOWN = 32
"""A public value of more integers than this is described, not shown."""

STEPS = {"setup": "set up", "ceremony": "read the ceremony's key", "load": "read the keys", "prove": "prove"}
"""The prover's steps that the page shows -> what it calls them; verifying is measured anew."""


def verified_proof(net: Graph, folder: Path, expected_hash: str = "") -> dict[str, Any]:
    """The facts of a proof that holds. folder: what `arithmos prove` wrote, or the proof/ in it.

    expected_hash: the model's, from somebody who is trusted. Without it the proof only claims to be of the network:
    whoever made it may have written the statement beside another network's key. Raises VerificationError where it does
    not hold, UsageError for the proof of another network and for damaged files.
    """
    proof = folder if (folder / STAMP_FILE).is_file() else folder / "proof"
    found = verify(proof, expected_hash=expected_hash)
    with malformed(lambda why: _unreadable(proof / STAMP_FILE, why)):
        return proof_facts(net, proof, found, trusted=bool(expected_hash))


def proof_facts(net: Graph, proof: Path, found: Mapping[str, Any], *, trusted: bool) -> dict[str, Any]:
    """What the page says of a proof. net: the network it is of; proof: the folder, with keys/ beside it where some were
    made; found: what `targets.zk.verification.verify` returned for it; trusted: whether the model hash is known to be
    the network's, and not only the proof's own.

    Constraints are exact, non-zeros an upper bound; `key_bytes` is null without keys/. Raises UsageError for the proof
    of another network, and for keys of another proof.
    """
    said, keys = found["statement"], proof.parent / "keys"
    key = keys / PROVING_KEY
    if (keys / KEY_FILE).is_file() and read_versioned(keys / KEY_FILE)["model_hash"] != found["model_hash"]:
        raise UsageError(
            "proof and keys are not of one model",
            where=str(keys),
            why=f"the model hash of the proof is {found['model_hash']}, {KEY_FILE} has another",
            fix="give the folder as `arithmos prove` wrote it",
        )
    roles = tuple(role for role in ROLES if any(port["role"] == role for port in said["public"]))
    plan = plan_of(_circuit(net, said, roles, proof))
    verifying = {"wall_s": found["verify_s"], "cpu_s": found["verify_cpu_s"], "peak_mb": found["verify_peak_mb"]}
    took = {name: found["steps"][name] for name in STEPS if name in found["steps"]} | {"verify": verifying}
    return {
        **{key: found[key] for key in ("model_hash", "curve", "groth16py", "setup")},
        **{key: said[key] for key in ("model", "circuit", "output")},
        "public": [_port(port, found["values"][port["value"]]) for port in said["public"]],
        "secret": [] if "input" in roles else list(net.inputs),
        **{key: value for key, value in asdict(plan).items() if key in ("constraints", "wires", "nonzeros", "rows")},
        "steps": [{"step": STEPS.get(name, name), **_rounded(line)} for name, line in took.items()],
        "trusted": trusted,
        "proof_bytes": (proof / PROOF_FILE).stat().st_size,
        "key_bytes": key.stat().st_size if key.is_file() else None,
    }


def _circuit(net: Graph, said: Mapping[str, Any], public: tuple[str, ...], proof: Path) -> Circuit:
    """The circuit of the statement, planned again from the network."""
    if said["model"] == digest(net):
        circuit = planned(statement(net, said["output"]), public)
        if digest(circuit.graph) == said["circuit"]:
            return circuit
        why = f"its circuit is {said['circuit'][:16]}, this version makes {digest(circuit.graph)[:16]}"
    else:
        why = f"it is of network {str(said['model'])[:16]}, the bundle holds {digest(net)[:16]}"
    raise UsageError(
        "this proof is of another network",
        where=str(proof),
        why=why,
        fix="give the bundle that was proved, or prove this one: arithmos prove BUNDLE",
    )


def _port(port: Mapping[str, Any], integers: np.ndarray) -> dict[str, Any]:
    known = {key: port[key] for key in ("value", "role", "shape", "range")}
    return {**known, "integers": integers.reshape(-1).tolist() if integers.size <= MOST_SHOWN else []}


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"{path.name} cannot be read", where=str(path), why=why, fix="make it again: arithmos prove")


def _rounded(line: Mapping[str, Any]) -> dict[str, float]:
    return {"wall_s": round(line["wall_s"], 3), "cpu_s": round(line["cpu_s"], 3), "peak_mb": round(line["peak_mb"])}
