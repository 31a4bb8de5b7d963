"""`arithmos verify-proof`: the verifier's side; exit code 1 where anything does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from arithmos.cli import flags
from arithmos.cli.output import answer
from arithmos.errors import UsageError
from arithmos.targets.zk.keys import read_stamp
from arithmos.targets.zk.proof import STAMP_FILE
from arithmos.targets.zk.verification import verify


@click.command("verify-proof")
@click.argument("proof", type=flags.EXISTING)
@click.option("--model-hash", default="", help="The model's hash, from whom you trust: a proof of another is refused.")
@click.option("--input", "given", metavar="INTEGERS", help="The public input expected: a .npy or .json file, or 1,2,3.")
@click.option("--output", "shown", metavar="INTEGERS", help="The public output expected, likewise.")
@flags.as_json
@flags.verbosity
def command(proof: Path, model_hash: str, given: str | None, shown: str | None, as_json: bool) -> None:
    """Check PROOF (the folder that `arithmos prove` wrote for verifiers): the proof, the model, the public values.

    Needs no weights and no torch. Without --model-hash it says which model the proof is for, and you decide.
    """
    ports = read_stamp(proof / STAMP_FILE)["statement"]["public"]
    expected = {role: _expected(ports, role, text) for role, text in (("input", given), ("output", shown)) if text}
    found = verify(proof, expected_hash=model_hash, inputs=expected.get("input"), outputs=expected.get("output"))
    values = {name: array.tolist() for name, array in found.pop("values").items()}
    trusted = "the expected model" if model_hash else "not compared: give --model-hash"
    lines = [f"the proof holds, verified in {found['verify_s'] * 1000:.0f} ms"]
    lines += [f"model hash {found['model_hash']} ({trusted})", f"setup: {found['setup']}"]
    lines += [f"{name}: {_short(numbers)}" for name, numbers in values.items()]
    answer({**found, "values": values, "ok": True}, "\n".join(lines), as_json=as_json)


def _expected(ports: list[dict[str, Any]], role: str, text: str) -> dict[str, np.ndarray]:
    names = [port["value"] for port in ports if port["role"] == role]
    if len(names) != 1:
        raise UsageError(
            f"this proof shows {len(names)} public {role}s",
            why=f"--{role} compares the one that there is" if names else f"its {role} is secret",
            fix=f"leave --{role} out, or compare in Python: arithmos.targets.zk.verification.verify",
        )
    return {names[0]: _integers(text)}


def _integers(text: str) -> np.ndarray:
    path = Path(text)
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            array = np.array(json.loads(path.read_text() if path.suffix == ".json" else f"[{text}]"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{text} is not integers", why=str(error), fix="give a .npy or .json file, or 1,2,3"
        ) from error
    if array.dtype.kind not in "iu":
        raise UsageError(f"{text} holds {array.dtype}", why="public values are integers", fix="give integers")
    return np.asarray(array, dtype=np.int64)


def _short(numbers: Any) -> str:
    text = json.dumps(numbers)
    return text if len(text) < 200 else f"{text[:200]} …"
