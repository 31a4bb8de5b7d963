"""The demonstration's proof: one digit proved in zero knowledge, verified, and refused once a logit is changed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.cli.progress import Steps
from arithmos.cli.proving import Wish, write_proof
from arithmos.errors import MissingTool, VerificationError
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.report.proof import proof_facts
from arithmos.targets.zk.cost import plan_of
from arithmos.targets.zk.export import first_sample, stated
from arithmos.targets.zk.field import MODULUS
from arithmos.targets.zk.proof import PUBLIC_FILE
from arithmos.targets.zk.verification import verify

LOGIT = 3
"""The one that is changed."""


def prove_digit(net: Graph, image: np.ndarray, folder: Path, steps: Steps) -> tuple[str, dict[str, Any]]:
    """Write folder/proof and folder/keys for one image, which stays secret, and verify; the text and the page's facts.

    image: as `run` takes it. Without groth16py the text says how to get it and there are no facts. Raises
    VerificationError where the proof does not hold, and where it still holds with another logit.
    """
    sample = first_sample(net, admit(net, named_inputs(net, image)))
    logits = evaluate(net, sample)
    with steps.step("plan the proof"):
        circuit = stated(net)
        wish = Wish(circuit, plan_of(circuit), {"model": digest(net), "output": "values"}, sample, None, None)
    try:
        stamp = _written(wish, folder, steps)
    except MissingTool as error:
        return f"no proof: {error.why}; to see one: {error.fix}", {}
    with steps.step("verify the proof"):
        found = verify(folder / "proof", expected_hash=stamp["model_hash"], outputs=logits)
    with steps.step("verify another logit"):
        change = refused_change(folder / "proof", found, LOGIT)
    facts = proof_facts(net, folder / "proof", found, trusted=True) | {"refused": change}
    return _text(facts, logits[net.outputs[0]]), facts


def refused_change(proof: Path, found: Mapping[str, Any], element: int, by: int = 1) -> str:
    """What was changed: one public output of a copy of the proof, within its range; the verifier refused the copy.

    found: what `verify` returned for the proof. Raises VerificationError where the changed copy is accepted: a proof
    that holds for any output proves nothing.
    """
    port = next(port for port in found["statement"]["public"] if port["role"] == "output")
    by = by if found["values"][port["value"]].reshape(-1)[element] + by <= port["range"][1] else -by
    change = f"the same proof with logit {element} changed by {by}"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(proof, Path(scratch) / "proof"))
        numbers = json.loads((copy / PUBLIC_FILE).read_text())
        place = port["first"] - 1 + element
        numbers[place] = str((int(numbers[place]) + by) % MODULUS)
        (copy / PUBLIC_FILE).write_text(json.dumps(numbers))
        try:
            verify(copy, expected_hash=found["model_hash"])
        except VerificationError as error:
            if error.what != "the proof does not hold":
                raise
            return change
    raise VerificationError(
        f"{change} was accepted",
        why="a proof that holds for another output says nothing about the network",
        fix="report it: this is a defect of the circuit, or of the prover",
    )


def _written(wish: Wish, folder: Path, steps: Steps) -> dict[str, Any]:
    """folder/proof and folder/keys, both or none; the proof's stamp."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        stamp = write_proof(wish, Path(scratch), steps)
        for part in ("keys", "proof"):
            (Path(scratch) / part).rename(folder / part)
    return stamp


def _text(facts: Mapping[str, Any], logits: np.ndarray) -> str:
    took = ", ".join(f"{step['step']} {step['wall_s']:.2f} s" for step in facts["steps"])
    return "\n".join(
        [
            f"proof holds: a secret image, {logits.size} public logits, digit {logits.argmax()}; "
            f"{facts['constraints']:,} constraints, {facts['proof_bytes']} bytes",
            f"{took}; {max(step['peak_mb'] for step in facts['steps'])} MB",
            f"{facts['refused']}: rejected",
            f"setup: {facts['setup']}",
        ]
    )
