"""The verifier's side: a proof folder, the model's hash, the values expected. No weights, no torch, no circuit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError, VerificationError
from arithmos.ir.codec import malformed
from arithmos.targets.zk.field import MODULUS, NAME
from arithmos.targets.zk.groth16 import run_steps
from arithmos.targets.zk.keys import VERIFYING_KEY, model_hash
from arithmos.targets.zk.proof import PROOF_FILE, PUBLIC_FILE
from arithmos.targets.zk.versioned import STAMP_FILE, Port, ports, read_versioned


def verify(
    proof: Path,
    *,
    expected_hash: str = "",
    inputs: Mapping[str, np.ndarray] | None = None,
    outputs: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Check a proof against its verifying key, the model it claims and the values it shows. Needs no weights, no torch.

    expected_hash: the model's. inputs, outputs: {value: integers} that must be the public ones. Returns the stamp with
    "values": {value: the public integers}, "verify_s", "verify_cpu_s" and "verify_peak_mb". Raises VerificationError
    for anything that does not hold, UsageError for files that cannot be read.
    """
    stamp = read_versioned(proof / STAMP_FILE)
    if missing := [name for name in (VERIFYING_KEY, PROOF_FILE, PUBLIC_FILE) if not (proof / name).is_file()]:
        raise UsageError(
            f"there is no {', no '.join(missing)}",
            where=str(proof),
            why=f"a proof is verified by these files and {STAMP_FILE} together",
            fix="ask the prover for the whole folder again",
        )
    numbers = _public_numbers(proof)
    found = model_hash(proof / VERIFYING_KEY, stamp["statement"])
    if expected_hash and found != expected_hash:
        raise VerificationError(
            "the proof is for another model",
            where=str(proof),
            why=f"its model hash is {found}, expected was {expected_hash}",
            fix="ask for a proof under the verifying key of this model",
        )
    shown = ports(stamp["statement"]["public"])
    values = {port.value: public_integers(port, numbers) for port in shown}
    _compare(shown, values, {**(inputs or {}), **(outputs or {})})
    said = run_steps(
        ["verify"],
        verifying_key=proof / VERIFYING_KEY,
        proof=proof / PROOF_FILE,
        public=[str(number) for number in numbers],
    )
    if not said[-1]["holds"]:
        raise VerificationError(
            "the proof does not hold",
            where=str(proof),
            why="the verifying key refuses proof.bin with these public values",
            fix="ask the prover for the files again; one of them was changed",
        )
    took = {"verify_s": said[-1]["wall_s"], "verify_cpu_s": said[-1]["cpu_s"], "verify_peak_mb": said[-1]["peak_mb"]}
    return {**stamp, "model_hash": found, "values": values, **took}


def _public_numbers(proof: Path) -> list[int]:
    path = proof / PUBLIC_FILE

    def refused(why: str) -> UsageError:
        return UsageError(f"{path.name} cannot be read", where=str(path), why=why, fix="ask the prover for it again")

    with malformed(refused):
        found = json.loads(path.read_bytes())
        if not isinstance(found, list) or not all(isinstance(number, str) for number in found):
            raise TypeError("it is not a list of numbers in quotes")
        numbers = [int(number) for number in found]
    outside = [str(i) for i, number in enumerate(numbers) if not 0 <= number < MODULUS]
    if outside:
        raise VerificationError(
            "a public value is outside the field",
            where=str(path),
            why=f"number {', '.join(outside[:5])} is not in 0 .. p - 1 of {NAME}",
            fix="a negative number v is written p - |v|; ask the prover for the file again",
        )
    return numbers


def public_integers(port: Port, numbers: list[int]) -> np.ndarray:
    """The integers of a public value, each within its proven range. Raises VerificationError, naming the first
    outside."""
    taken = numbers[port.first - 1 : port.first - 1 + port.count]
    integers = [number if number <= MODULUS // 2 else number - MODULUS for number in taken]
    lo, hi = port.range
    wrong = next((i for i, number in enumerate(integers) if not lo <= number <= hi), None)
    if wrong is not None or len(integers) != port.count:
        why = (
            "there are too few numbers"
            if wrong is None
            else f"element {wrong} is {integers[wrong]}, not in {lo} .. {hi}"
        )
        raise VerificationError(
            f"public value '{port.value}' is outside its range",
            why=why,
            fix="a proof says nothing about such a value; ask the prover for the files again",
        )
    return np.array(integers, dtype=np.int64).reshape(port.shape)


def _compare(public: list[Port], values: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Raise VerificationError with every expected value that the proof does not show."""
    shown, problems = {port.value for port in public}, []
    for name, array in expected.items():
        if name not in shown:
            problems.append(f"'{name}' is not public in this proof (public: {', '.join(sorted(shown))})")
            continue
        given = np.asarray(array).reshape(-1)
        have = values[name].reshape(-1)
        if given.size != have.size:
            problems.append(f"'{name}' has {have.size} numbers, expected were {given.size}")
        elif (different := np.flatnonzero(given != have)).size:
            i = int(different[0])
            problems.append(f"'{name}' differs at element {i}: the proof says {have[i]}, expected was {given[i]}")
    if problems:
        raise VerificationError(
            "the proof shows other values",
            why="\n".join(problems),
            fix="ask for a proof of these values, or expect those that it shows",
        )
