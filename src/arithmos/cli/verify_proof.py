"""`arithmos verify-proof`: the verifier's side; exit code 1 where anything does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.expectation import expected_hash, expected_values
from arithmos.cli.output import answer
from arithmos.targets.zk.verification import verify
from arithmos.targets.zk.versioned import STAMP_FILE, read_versioned


@click.command("verify-proof")
@click.argument("proof", type=flags.EXISTING)
@click.option("--model-hash", help="The model's hash, from whom you trust: a proof of another is refused.")
@click.option("--input", "given", metavar="INTEGERS", help="The public input expected: a .npy or .json file, or 1,2,3.")
@click.option("--output", "shown", metavar="INTEGERS", help="The public output expected, likewise.")
@flags.as_json
@flags.verbosity
def command(proof: Path, model_hash: str | None, given: str | None, shown: str | None, as_json: bool) -> None:
    """Check PROOF (the folder that `arithmos prove` wrote for verifiers): the proof, the model, the public values.

    Needs no weights and no torch. Without --model-hash it says which model the proof is for, and you decide.
    """
    ports = read_versioned(proof / STAMP_FILE)["statement"]["public"]
    roles = {"input": given, "output": shown}
    expected = {role: expected_values(ports, role, text) for role, text in roles.items() if text is not None}
    trusted = expected_hash(model_hash)
    found = verify(proof, expected_hash=trusted, inputs=expected.get("input"), outputs=expected.get("output"))
    values = {name: array.tolist() for name, array in found.pop("values").items()}
    compared = "the expected model" if trusted else "not compared: give --model-hash"
    lines = [f"the proof holds, verified in {found['verify_s'] * 1000:.0f} ms"]
    lines += [f"model hash {found['model_hash']} ({compared})", f"setup, in the prover's words: {found['setup']}"]
    lines += [f"{name}: {_short(numbers)}" for name, numbers in values.items()]
    answer({**found, "values": values, "ok": True}, "\n".join(lines), as_json=as_json)


def _short(numbers: Any) -> str:
    text = json.dumps(numbers)
    return text if len(text) < 200 else f"{text[:200]} …"
