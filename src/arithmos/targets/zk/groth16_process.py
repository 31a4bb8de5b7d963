"""A program, never imported: the only code that runs beside groth16py, in an interpreter of its own.

groth16py is under the GPL; it is started as any other tool would be, with files as the interface. Standard input: one
JSON object, {"steps": [...], file names}. Standard output: one JSON line for each step that is done, or {"error": …,
"kind": …}.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from typing import Any


def main() -> int:
    """Run the steps in order; keys stay in memory between them."""
    request = json.load(sys.stdin)
    try:
        groth16 = importlib.import_module("groth16py")
    except ImportError as error:
        return _say(error=str(error), kind="missing")
    held: dict[str, Any] = {}
    for step in request["steps"]:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            facts = STEPS[step](groth16, request, held) or {}
        except (groth16.SetupError, groth16.WitnessError, groth16.EncodingError, groth16.VerificationError) as error:
            return _say(error=str(error), kind=type(error).__name__, step=step)
        except MemoryError as error:
            return _say(error=str(error), kind="memory", step=step)
        seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        _say(step=step, version=groth16.__version__, peak_mb=_peak_mb(), **seconds, **facts)
    return 0


def _start(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    """The library is there."""


def _setup(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    held["pk"], held["vk"] = groth16.setup(request["r1cs"])


def _ceremony(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    held["pk"], held["vk"] = groth16.import_zkey(request["zkey"])


def _save(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    held["pk"].save(request["proving_key"])
    with open(request["verifying_key"], "w") as file:
        file.write(held["vk"].to_json())


def _load(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    held["pk"] = groth16.ProvingKey.load(request["proving_key"])
    held["vk"] = groth16.VerifyingKey.from_snarkjs_file(request["verifying_key"])


def _prove(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    with open(request["proof"], "wb") as file:
        file.write(groth16.prove_wtns(held["pk"], request["wtns"]))


def _verify(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    key = held.get("vk") or groth16.VerifyingKey.from_snarkjs_file(request["verifying_key"])
    with open(request["proof"], "rb") as file:
        proof = file.read()
    return {"holds": groth16.Verifier(key).verify(proof, [int(number) for number in request["public"]])}


def _solidity(groth16: Any, request: dict[str, Any], held: dict[str, Any]) -> None:
    key = held.get("vk") or groth16.VerifyingKey.from_snarkjs_file(request["verifying_key"])
    with open(request["solidity"], "w") as file:
        file.write(key.to_solidity())


STEPS = {
    "start": _start,
    "setup": _setup,
    "ceremony": _ceremony,
    "save": _save,
    "load": _load,
    "prove": _prove,
    "verify": _verify,
    "solidity": _solidity,
}


def _peak_mb() -> float:
    """Peak memory of this program; the system's usual figure would count what its parent had before it began."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say(**facts: Any) -> int:
    print(json.dumps(facts), flush=True)  # noqa: T201 (this is the program's output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
