"""The verifier's side: a proof folder, the model's hash, the values expected. No weights, no torch, no circuit."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError, VerificationError
from arithmos.ir.codec import malformed
from arithmos.targets.zk.field import MODULUS, NAME
from arithmos.targets.zk.groth16 import run_steps
from arithmos.targets.zk.keys import VERIFYING_KEY, model_hash
from arithmos.targets.zk.proof import PROOF_FILE, PUBLIC_FILE
from arithmos.targets.zk.versioned import STAMP_FILE, Port, ports, read_limited, read_versioned

PROOF_BYTES = 256


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
    numbers, key, text = _public_numbers(proof), read_limited(proof / VERIFYING_KEY), _proof_bytes(proof)
    found = model_hash(key, stamp["statement"])
    if expected_hash and found != expected_hash:
        raise VerificationError(
            "the proof is for another model",
            where=str(proof),
            why=f"its model hash is {found}, expected was {expected_hash}",
            fix="ask for a proof under the verifying key of this model",
        )
    shown = ports(stamp["statement"]["public"])
    _require_all_named(proof, shown, numbers)
    _require_own_stamp(proof, stamp, found)
    values = {port.value: public_integers(port, numbers) for port in shown}
    _compare(shown, numbers, {"input": inputs or {}, "output": outputs or {}})
    with tempfile.TemporaryDirectory() as private:  # the very bytes that were hashed
        key_file, proof_file = Path(private, VERIFYING_KEY), Path(private, PROOF_FILE)
        key_file.write_bytes(key)
        proof_file.write_bytes(text)
        public = [str(number) for number in numbers]
        try:
            said = run_steps(["verify"], verifying_key=key_file, proof=proof_file, public=public)
        except UsageError as error:  # the files are no proof and no key at all
            raise _no_proof(proof, error.why) from error
    if not said[-1]["holds"]:
        raise _no_proof(proof, "the verifying key refuses proof.bin with these public values")
    took = {"verify_s": said[-1]["wall_s"], "verify_cpu_s": said[-1]["cpu_s"], "verify_peak_mb": said[-1]["peak_mb"]}
    return {**stamp, "model_hash": found, "values": values, **took}


def _no_proof(proof: Path, why: str) -> VerificationError:
    return VerificationError(
        "the proof does not hold",
        where=str(proof),
        why=why,
        fix="ask the prover for the files again; one of them was changed",
    )


def _require_own_stamp(proof: Path, stamp: Mapping[str, Any], found: str) -> None:
    """The stamp says what is computed: its curve is ours, its model hash that of the key and the statement."""
    problems = [] if stamp["curve"] == NAME else [f"its curve is {stamp['curve']}, proofs here are over {NAME}"]
    if stamp["model_hash"] != found:
        problems.append(f"it says model hash {stamp['model_hash']}, its key and statement have {found}")
    if problems:
        raise VerificationError(
            f"{STAMP_FILE} does not fit the files beside it",
            where=str(proof),
            why="\n".join(problems),
            fix="ask the prover for the whole folder again",
        )


def _public_numbers(proof: Path) -> list[int]:
    path = proof / PUBLIC_FILE

    def refused(why: str) -> UsageError:
        return UsageError(f"{path.name} cannot be read", where=str(path), why=why, fix="ask the prover for it again")

    with malformed(refused):
        found = json.loads(read_limited(path))
        if not isinstance(found, list) or not all(
            isinstance(number, str) and re.fullmatch("0|[1-9][0-9]*", number) for number in found
        ):
            raise TypeError("it is not a list of numbers in quotes, each in decimal digits alone")
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


def _proof_bytes(proof: Path) -> bytes:
    path = proof / PROOF_FILE
    found = read_limited(path, PROOF_BYTES)
    if len(found) != PROOF_BYTES:
        raise UsageError(
            f"{path.name} cannot be read",
            where=str(path),
            why=f"it has {len(found)} bytes, a proof has {PROOF_BYTES}",
            fix="ask the prover for it again",
        )
    return found


def _require_all_named(proof: Path, shown: list[Port], numbers: list[int]) -> None:
    """Every public number is one element of one value, in order: none is left out, none is shown twice."""
    firsts = list(accumulate((port.count for port in shown), initial=1))
    if [port.first for port in shown] != firsts[:-1] or firsts[-1] != len(numbers) + 1:
        raise VerificationError(
            "the public numbers are not those of the values",
            where=str(proof),
            why=f"{PUBLIC_FILE} has {len(numbers)} numbers, the values in {STAMP_FILE} take {firsts[-1] - 1}, "
            "one after another from the first",
            fix="ask the prover for the whole folder again",
        )


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


def _compare(public: list[Port], numbers: list[int], expected: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Raise VerificationError with every expected value, {role: {value: integers}}, that the proof does not show."""
    names, problems = ", ".join(sorted({port.value for port in public})), []
    for role, name, array in ((role, name, array) for role, given in expected.items() for name, array in given.items()):
        found = [port for port in public if (port.role, port.value) == (role, name)]
        if not found:
            problems.append(f"'{name}' is not public in this proof (public: {names})")
        given, have = np.asarray(array).reshape(-1), [public_integers(port, numbers).reshape(-1) for port in found]
        problems += [problem for values in have if (problem := _difference(name, given, values))]
    if problems:
        raise VerificationError(
            "the proof shows other values",
            why="\n".join(problems),
            fix="ask for a proof of these values, or expect those that it shows",
        )


def _difference(name: str, given: np.ndarray, have: np.ndarray) -> str:
    if given.size != have.size:
        return f"'{name}' has {have.size} numbers, expected were {given.size}"
    if not (different := np.flatnonzero(given != have)).size:
        return ""
    i = int(different[0])
    return f"'{name}' differs at element {i}: the proof says {have[i]}, expected was {given[i]}"
