"""The same integers proved twice: by our circuit with Groth16, and by ezkl from the ONNX file of target ezkl."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from arithmos.settings import cache_dir
from arithmos.targets.ezkl.export import export
from arithmos.targets.ezkl.tool import INSTALL, PROGRAM
from record import record
from zk import NETWORKS, network, row_of

CHOSEN = ("digits_cnn", "digits_cnn, power_of_two")
"""The default recipe, and the one that suits ezkl best: shifts of less than a digit, no multipliers."""

RUNS = (("settings", "compile", "witness", "compare", "srs"), ("setup",), ("prove",), ("verify",))
"""Each in a process of its own, so that each has its own peak of memory."""


def environment() -> Path:
    """The python of an environment that holds ezkl and nothing else, made once under the cache directory."""
    folder = cache_dir() / "bench-ezkl"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", *INSTALL.split(), "--quiet"], check=True)
    return python


def proved_by_ezkl(python: Path, folder: Path) -> dict[str, Any]:
    """What each step says of itself: seconds, megabytes, bytes."""
    said: dict[str, dict[str, Any]] = {}
    for steps in RUNS:
        done = subprocess.run([python, "-I", folder / PROGRAM, *steps], capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        said |= {line["step"]: line for line in lines}
    assert said["compare"]["equal"] and said["verify"]["holds"]
    row = {"rows": said["settings"]["rows"], "logrows": said["settings"]["logrows"]}
    for step in ("setup", "prove", "verify"):
        row |= {f"{step}_{key}": round(said[step][key], 3) for key in ("cpu_s", "wall_s", "peak_mb")}
    return row | {"key_bytes": said["setup"]["key_bytes"], "proof_bytes": said["prove"]["proof_bytes"]}


def compared(label: str, python: Path) -> dict[str, Any]:
    """One network by both provers, inputs and outputs public, and how many times more ezkl takes."""
    net, image = network(*NETWORKS[label])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("ours", "ezkl"):
            (folder / part).mkdir()
        ours = row_of(net, image, folder / "ours", proved=True)
        export(net, folder / "ezkl", public="input,output", golden={net.inputs[0]: image})
        theirs = proved_by_ezkl(python, folder / "ezkl")
    keys = ("setup_cpu_s", "prove_cpu_s", "prove_wall_s", "prove_peak_mb", "key_bytes")
    times = {key: round(theirs[key] / max(ours[key], 1e-3), 1) for key in keys}
    times["proof_bytes"] = round(theirs["proof_bytes"] / 256, 1)
    return {"groth16": {key: ours[key] for key in ours if key in theirs or key == "constraints"}, "ezkl": theirs} | {
        "ezkl_takes_times": times
    }


def main(quick: bool = False) -> dict[str, Any]:
    """Both recipes (quick: the first). A run of ezkl takes minutes of processor and gigabytes of memory."""
    python = environment()
    figures: dict[str, Any] = {}
    for label in CHOSEN[: 1 if quick else None]:
        figures[label] = compared(label, python)
        record("ezkl", figures)
    return figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
