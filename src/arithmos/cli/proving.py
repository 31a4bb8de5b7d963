"""From a plan to a proof on disk, step by step; and the plan for people."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.atomic import output_dir
from arithmos.cli.bundle import golden_inputs, read_facts, read_inputs
from arithmos.cli.flags import check_apart
from arithmos.cli.memory import available_bytes
from arithmos.cli.output import table
from arithmos.cli.progress import Steps
from arithmos.errors import UsageError
from arithmos.ir.border import admit, batch_size, named_inputs
from arithmos.ir.graph import Graph
from arithmos.targets.zk.circuit import Circuit
from arithmos.targets.zk.cost import Estimate, Plan, amount, memory_text
from arithmos.targets.zk.export import WTNS_FILE, first_sample, write_circuit, write_witness
from arithmos.targets.zk.groth16 import run_steps
from arithmos.targets.zk.keys import VERIFYING_KEY, solidity
from arithmos.targets.zk.proof import prove, setup_and_prove
from arithmos.targets.zk.versioned import KEY_FILE, MAP_FILE, read_versioned


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be proved: the circuit and its plan, the map's facts, the input, and keys or a ceremony's key."""

    circuit: Circuit
    plan: Plan
    facts: Mapping[str, str]
    sample: Mapping[str, np.ndarray]
    keys: Path | None
    zkey: Path | None


def refuse_conflicts(bundle: Path, source: Path | None, keys: Path | None, zkey: Path | None, out: Path | None) -> None:
    """Raise UsageError for an output that would replace what is read, and for two keys."""
    check_apart(out, bundle, source, keys, zkey)
    if keys and zkey:
        raise UsageError(
            "--keys and --zkey name two keys",
            why="keys of an earlier proof hold their own, whether a ceremony made it or not",
            fix="give --zkey once to make keys of it, then --keys",
        )


def limit_of(max_memory: float | None) -> tuple[int, str]:
    """(bytes the prover may need, whose limit it is): --max-memory in GB, or what is free."""
    if max_memory is None:
        return available_bytes(), "free"
    if not math.isfinite(max_memory * 1e9):
        raise UsageError(
            f"--max-memory cannot be {max_memory}",
            why="it is a number of GB",
            fix="give one, or leave it out: then the limit is what is free",
        )
    return int(max_memory * 1e9), "allowed"


def sample_of(net: Graph, bundle: Path, source: Path | None) -> tuple[int, dict[str, np.ndarray]]:
    """(how many samples the inputs hold, the first of them as integers)."""
    given = read_inputs(source, read_facts(bundle)) if source else golden_inputs(bundle, net)
    integers = admit(net, named_inputs(net, given))
    sizes = [batch_size(net.values[name].shape, array.shape) for name, array in integers.items()]
    return max((n for n in sizes if n is not None), default=1), first_sample(net, integers)


def proved(wish: Wish, out: Path, steps: Steps, *, force: bool) -> dict[str, Any]:
    """A new directory OUT with the proof, and with the keys where some are made; returns the proof's stamp."""
    with output_dir(out, force=force) as folder:
        return write_proof(wish, folder, steps)


def write_proof(wish: Wish, folder: Path, steps: Steps) -> dict[str, Any]:
    """Write proof/, and keys/ where keys are made, into an existing folder; returns the proof's stamp.

    Circuit and witness are made in a directory that is gone afterwards: the witness holds what is to stay secret.
    """
    run_steps(["start"])  # what is missing is missed before a large circuit is written
    if wish.keys:
        read_versioned(wish.keys / KEY_FILE)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        circuit, proof = Path(scratch), folder / "proof"
        proof.mkdir()
        with steps.step("circuit"):
            write_circuit(wish.circuit, circuit, **wish.facts)
        with steps.step("witness"):
            write_witness(wish.circuit, wish.sample, circuit / WTNS_FILE)
        predicted = f"predicted were {memory_text(wish.plan)}"
        if wish.keys:
            with steps.step("prove and verify"):
                stamp = prove(circuit, circuit / WTNS_FILE, wish.keys, proof, predicted=predicted)
        else:
            keys = folder / "keys"
            keys.mkdir()
            with steps.step("set up, prove and verify"):
                stamp = setup_and_prove(circuit, circuit / WTNS_FILE, keys, proof, zkey=wish.zkey, predicted=predicted)
            solidity(keys / VERIFYING_KEY, keys / "verifier.sol")
            (keys / MAP_FILE).write_bytes((circuit / MAP_FILE).read_bytes())
    return stamp


def proved_text(plan: Plan, stamp: Mapping[str, Any], out: Path, n: int) -> str:
    """What was proved, for people. n: samples that the inputs held."""
    lines = [
        f"proof holds: {plan.constraints:,} constraints, 256 bytes, on {stamp['curve']}",
        f"model hash {stamp['model_hash']}",
        f"setup: {stamp['setup']}",
        f"wrote {out}; a verifier needs {out / 'proof'} and the model hash: arithmos verify-proof {out / 'proof'}",
    ]
    return "\n".join([*lines, f"it is of the first of {n} inputs"] if n > 1 else lines)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    return {**asdict(plan), "r1cs_bytes": plan.r1cs_bytes, "wtns_bytes": plan.wtns_bytes}


def dry_text(plan: Plan, limit: int, whose: str) -> str:
    """The plan for people. limit: bytes the prover may need; whose: "allowed" or "free"."""
    fits = "fits" if plan.memory_bytes.expected <= limit else "does not fit"
    rows = [(row.value, row.gadget, row.elements, row.constraints, row.nonzeros) for row in plan.rows]
    lines = [
        table(("value", "gadget", "elements", "constraints", "non-zeros"), rows),
        "",
        f"{plan.constraints:,} constraints, {plan.wires:,} wires, at most {plan.nonzeros:,} non-zeros",
        f"circuit {plan.r1cs_bytes / 1e6:,.1f} MB, witness {plan.wtns_bytes / 1e6:,.1f} MB, proof 256 bytes",
        f"setup   {_span(plan.setup_s, 1, 's')} of processor time, once for a model",
        f"prove   {_span(plan.prove_s, 1, 's')} of processor time",
        f"memory  {_span(plan.memory_bytes, 1e6, 'MB')}: {fits} into the {amount(limit)} that are {whose}",
        f"key     {_span(plan.key_bytes, 1e6, 'MB')}",
    ]
    return "\n".join(lines)


def _span(estimate: Estimate, unit: float, name: str) -> str:
    return f"{estimate.expected / unit:,.1f} ({estimate.least / unit:,.1f} to {estimate.most / unit:,.1f}) {name}"
