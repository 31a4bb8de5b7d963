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
from arithmos.targets.zk.circuit import Circuit, planned
from arithmos.targets.zk.cost import plan_of
from arithmos.targets.zk.export import PUBLIC
from arithmos.targets.zk.keys import PROVING_KEY
from arithmos.targets.zk.proof import PROOF_FILE
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.versioned import STAMP_FILE

MOST_SHOWN = 32
"""A public value of more integers than this is described, not shown."""

STEPS = {"setup": "set up", "ceremony": "read the ceremony's key", "load": "read the keys", "prove": "prove"}
"""The prover's steps that the page shows -> what it calls them; verifying is measured anew."""


def verified_proof(net: Graph, folder: Path) -> dict[str, Any]:
    """The facts of a proof that holds. folder: what `arithmos prove` wrote.

    Raises VerificationError where it does not hold, UsageError for the proof of another network and for damaged files.
    """
    found = verify(folder / "proof")
    with malformed(lambda why: _unreadable(folder / "proof" / STAMP_FILE, why)):
        return proof_facts(net, folder, found)


def proof_facts(net: Graph, folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of a proof. net: the network it is of; folder: what `arithmos prove` wrote (proof/, and keys/
    where it made some); found: what `targets.zk.verification.verify` returned for folder/proof.

    Constraints are exact, non-zeros an upper bound; `key_bytes` is null without keys/. Raises UsageError for the proof
    of another network.
    """
    said, key = found["statement"], folder / "keys" / PROVING_KEY
    roles = tuple(role for role in PUBLIC if any(port["role"] == role for port in said["public"]))
    plan = plan_of(_circuit(net, said, roles, folder))
    verifying = {"wall_s": found["verify_s"], "cpu_s": found["verify_cpu_s"], "peak_mb": found["verify_peak_mb"]}
    took = {name: found["steps"][name] for name in STEPS if name in found["steps"]} | {"verify": verifying}
    return {
        **{key: found[key] for key in ("model_hash", "curve", "groth16py", "setup")},
        **{key: said[key] for key in ("model", "circuit", "output")},
        "public": [_port(port, found["values"][port["value"]]) for port in said["public"]],
        "secret": [] if "input" in roles else list(net.inputs),
        **{key: value for key, value in asdict(plan).items() if key in ("constraints", "wires", "nonzeros", "rows")},
        "steps": [{"step": STEPS.get(name, name), **_rounded(line)} for name, line in took.items()],
        "proof_bytes": (folder / "proof" / PROOF_FILE).stat().st_size,
        "key_bytes": key.stat().st_size if key.is_file() else None,
    }


def _circuit(net: Graph, said: Mapping[str, Any], public: tuple[str, ...], folder: Path) -> Circuit:
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
        where=str(folder),
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
