"""What every benchmark shares: where data lies, the machine it ran on, the JSON it leaves."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def data_dir(name: str) -> Path | None:
    """A folder of development data, from ARITHMOS_TEST_DATA or beside the project; None where there is none."""
    base = Path(os.environ.get("ARITHMOS_TEST_DATA", ROOT.parent / "shared" / "data"))
    folder = base / name
    return folder if folder.exists() else None


def machine() -> dict[str, Any]:
    """Processor, cores, Python and library versions: what a figure means nothing without."""
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    versions = {}
    for package in ("numpy", "torch", "onnxruntime"):
        try:
            versions[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "python": platform.python_version(), **versions}


def record(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Write bench/results/NAME.json and return the figures."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"date": date.today().isoformat(), "machine": machine(), "figures": figures}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return figures


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_child(code: str) -> dict[str, Any]:
    """Run Python code in a process of its own, for a clean peak; it prints one JSON object as its last line."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
