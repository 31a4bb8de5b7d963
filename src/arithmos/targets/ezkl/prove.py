"""A program for the folder it lies in: ezkl's witness, or with `all` the keys, a proof and its verification too.

    python prove.py            witness.json, compared with what the network computes
    python prove.py all        the same, then setup, proof and verification; or name single steps, as setup or prove

It needs nothing but `pip install ezkl==23.0.5`, and no network: the structured reference string is made here, by ezkl's
test generator, so whoever runs it could make false proofs; a real one is that of `ezkl.get_srs`. It prints one line of
JSON for each step.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order of the scalars of bn254; the upper half stands for negative numbers."""

BLINDING = 12
"""Rows that halo2 keeps for itself. One k less takes twice the columns, one more twice the time."""


def main(arguments: list[str]) -> int:
    """Run the steps; 0, 1 where an integer differs or ezkl refuses, 2 for no such step, 3 without ezkl."""
    folder, named = Path(__file__).resolve().parent, list(arguments)
    if named and Path(named[0]).is_dir():
        folder = Path(named.pop(0))
    steps = list(STEPS) if named == ["all"] else named or WITNESS
    if unknown := [step for step in steps if step not in STEPS]:
        say(error=f"there is no step {', '.join(unknown)}", fix=f"all, or some of {', '.join(STEPS)}", kind="usage")
        return 2
    try:
        ezkl = importlib.import_module("ezkl")
    except ImportError as error:
        say(error=str(error), fix="pip install ezkl==23.0.5", kind="missing")
        return 3
    for step in steps:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            facts = STEPS[step](ezkl, folder) or {}
        except RuntimeError as error:
            say(step=step, error=str(error), kind="refused")
            return 1
        seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        say(step=step, **seconds, peak_mb=peak_mb(), **facts)
        if facts.get("equal") is False:
            return 1
    return 0


def settings(ezkl: Any, folder: Path) -> dict[str, Any]:
    """settings.json from run_args.json, without calibration: at scale 0 there is nothing to calibrate."""
    made = ezkl.PyRunArgs()
    for name, value in json.loads((folder / "run_args.json").read_text()).items():
        setattr(made, name, value)
    files = str(folder / "model.onnx"), str(folder / "settings.json")
    ezkl.gen_settings(*files, py_run_args=made)
    found = json.loads((folder / "settings.json").read_text())
    if set(found["model_output_scales"]) | set(found["model_input_scales"]) != {0}:
        raise RuntimeError(f"ezkl chose the scales {found['model_output_scales']}, all should be 0")
    made.logrows = logrows(found)
    ezkl.gen_settings(*files, py_run_args=made)
    return {"rows": found["num_rows"], "logrows": made.logrows}


def logrows(found: dict[str, Any]) -> int:
    """The least k whose 2**k rows hold the circuit, its constants and its looked-up rows; range tables are split."""
    rows = (int(found[name]) for name in ("num_rows", "total_const_size", "total_dynamic_col_size"))
    return (max(rows) + BLINDING - 1).bit_length()


def compile_circuit(ezkl: Any, folder: Path) -> None:
    """circuit.ezkl: the network in ezkl's own form."""
    ezkl.compile_circuit(*(str(folder / name) for name in ("model.onnx", "circuit.ezkl", "settings.json")))


def witness(ezkl: Any, folder: Path) -> None:
    """witness.json of input.json, and of every other file input*.json."""
    for path in sorted(folder.glob("input*.json")):
        target = path.with_name(path.name.replace("input", "witness"))
        ezkl.gen_witness(str(path), str(folder / "circuit.ezkl"), str(target))


def compare(ezkl: Any, folder: Path) -> dict[str, Any]:
    """ezkl's outputs are the integers of expected.json, all of them."""
    if not (folder / "expected.json").is_file():
        return {}
    expected = json.loads((folder / "expected.json").read_text())
    found = integers(folder / "witness.json")
    pairs = [pair for name, row in zip(expected, found, strict=True) for pair in zip(expected[name], row, strict=True)]
    return {"numbers": len(pairs), "equal": all(a == b for a, b in pairs)}


def integers(path: Path) -> list[list[int]]:
    """The outputs of a witness: field elements as integers, little-endian hexadecimal in the file."""
    outputs = json.loads(path.read_text())["outputs"]
    elements = [[int.from_bytes(bytes.fromhex(text), "little") for text in row] for row in outputs]
    return [[number - FIELD if number > FIELD // 2 else number for number in row] for row in elements]


def reference_string(ezkl: Any, folder: Path) -> None:
    """kzg.srs, for tests: whoever makes it could make false proofs."""
    found = json.loads((folder / "settings.json").read_text())
    ezkl.gen_srs(str(folder / "kzg.srs"), found["run_args"]["logrows"])


def setup(ezkl: Any, folder: Path) -> dict[str, Any]:
    """vk.key and pk.key."""
    files = {name: str(folder / file) for name, file in FILES.items()}
    ezkl.setup(files["circuit"], files["vk"], files["pk"], srs_path=files["srs"])
    return {"key_bytes": (folder / FILES["pk"]).stat().st_size}


def prove(ezkl: Any, folder: Path) -> dict[str, Any]:
    """proof.json."""
    files = {name: str(folder / file) for name, file in FILES.items()}
    ezkl.prove(files["witness"], files["circuit"], files["pk"], files["proof"], srs_path=files["srs"])
    return {"proof_bytes": len(json.loads((folder / FILES["proof"]).read_text())["proof"])}


def verify(ezkl: Any, folder: Path) -> dict[str, Any]:
    """The proof against the key and what is public."""
    files = [str(folder / FILES[name]) for name in ("proof", "settings", "vk")]
    return {"holds": bool(ezkl.verify(*files, srs_path=str(folder / FILES["srs"])))}


def peak_mb() -> float:
    """Peak memory of this program so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say(**facts: Any) -> None:
    """One line of JSON."""
    print(json.dumps(facts), flush=True)  # noqa: T201 (this is the program's output)


FILES = {
    "circuit": "circuit.ezkl",
    "settings": "settings.json",
    "witness": "witness.json",
    "srs": "kzg.srs",
    "vk": "vk.key",
    "pk": "pk.key",
    "proof": "proof.json",
}
WITNESS = ["settings", "compile", "witness", "compare"]
STEPS: dict[str, Any] = {
    "settings": settings,
    "compile": compile_circuit,
    "witness": witness,
    "compare": compare,
    "srs": reference_string,
    "setup": setup,
    "prove": prove,
    "verify": verify,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
