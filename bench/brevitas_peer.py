"""GPFQ at 4 bits by Brevitas, in an environment of its own, and by arithmos: the same network, images and torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

import arithmos as ar
from accuracy import top1
from arithmos.lower import fit
from arithmos.lower.float_activations import float_activations
from arithmos.lower.quantize import decide
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.settings import cache_dir
from arithmos.targets.clear import stream
from arithmos.targets.clear.nodes import run_node
from arithmos.train.data.datasets import load
from record import ROOT, data_dir, in_child, record

NETWORK, BITS = "resnet20", 4
BREVITAS = "brevitas==0.13.4"
PROGRAM = Path(__file__).parent / "peers" / "brevitas_gpfq.py"
THEIRS = {"maximum": "maximum", "mse": "mse"}
OURS = {"maximum": "minmax", "mse": "mse", "hessian": "hessian"}
"""Step rule -> its name there and here. Both narrow, a step a channel; hessian is ours alone, and our default."""

AGAINST = {"maximum": "maximum", "mse": "mse", "hessian": "mse"}
"""Our step rule -> theirs that it is compared with."""

CODE = """
import json, sys
sys.path.insert(0, "bench")
from brevitas_peer import ours
print(json.dumps(ours({folder!r}, {step!r})))
"""

BATCH = 32
"""Images of a forward pass, on both sides; Brevitas takes 3 % longer with 128 and 50 % longer with 512."""


def environment() -> Path:
    """The python of an environment with Brevitas and our versions of torch and numpy, made once in the cache."""
    folder = cache_dir() / "bench-brevitas"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "numpy", "safetensors")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", BREVITAS, *pins], check=True)
    return python


def prepared(folder: Path, n: int) -> None:
    """Write weights, n calibration images and the 500 test images."""
    images = data_dir("cifar10")
    preparation = entry(NETWORK).preparation
    calibration, _ = load("cifar10", "train", images, limit=n, preparation=preparation)
    tests, labels = load("cifar10", "test", images, limit=500, preparation=preparation)
    data = {"calibration": calibration, "images": tests, "labels": labels.astype(np.int64)}
    save_file(data, folder / "images.safetensors")
    model = build(NETWORK)
    load_weights(model, data_dir(f"weights/cifar10-{NETWORK}.safetensors"))
    save_tensors(model.state_dict(), folder / "weights.safetensors")


def by_brevitas(python: Path, folder: Path, step: str) -> dict[str, Any]:
    """Its figures, in a process of its own."""
    wish = json.dumps({"bits": BITS, "step": THEIRS[step], "act_order": False, "batch": BATCH})
    called = [python, PROGRAM, folder, NETWORK, wish]
    settings = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(called, capture_output=True, text=True, check=True, env=settings)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def by_arithmos(folder: Path, step: str) -> dict[str, Any]:
    """Ours, in a process of its own."""
    return in_child(CODE.format(folder=str(folder), step=step))


def ours(folder: str, step: str) -> dict[str, Any]:
    """Seconds from float graph to solved weights (forwards, matrices, solves), those of the solves alone, and top-1."""
    torch.set_num_threads(1)
    data = load_file(Path(folder) / "images.safetensors")
    model = build(NETWORK)
    load_weights(model, Path(folder) / "weights.safetensors")
    figures: dict[str, Any] = {}
    spent: list[tuple[float, float]] = []
    solved = fit.solved

    def timed(*given: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = solved(*given)
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
        return result

    def seconds(name: str, work: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        figures[f"{name}wall_s"], figures[f"{name}cpu_s"] = time.perf_counter() - wall, time.process_time() - cpu
        return result

    fit.solved = timed
    graph = seconds("trace_", lambda: ar.trace(model.eval(), torch.zeros(2, 3, 32, 32)))
    recipe = ar.Recipe(
        rounding="gpfq",
        error_correction="weights",
        weight_observer=OURS[step],
        overrides={"*": {"weight_bits": BITS}},
    )
    calibration = data["calibration"]
    stats = seconds("calibrate_", lambda: ar.calibrate(graph, [calibration], keep=len(calibration), stream=stream))
    prepared_graph, choice = seconds("", lambda: decide(graph, stats, recipe, run=run_node))
    if len(spent) == len(
        choice.fits
    ):  # else some layers were solved on their vectors, where a solve is no part by itself
        figures["solve_wall_s"], figures["solve_cpu_s"] = (sum(part) for part in zip(*spent, strict=True))
        figures["slowest_layer_s"] = max(wall for wall, _ in spent)
    rows = {key: round(value, 3) for key, value in figures.items()}
    accuracies = {"float_top1": graph, "top1": float_activations(prepared_graph, choice)}
    return rows | {key: 100 * top1(net, data["images"], data["labels"]) for key, net in accuracies.items()}


def middle(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Key by key the median of several runs."""
    return {key: round(median(row[key] for row in rows), 3) for key in rows[0]}


def main(quick: bool = False) -> dict[str, Any]:
    """512 training images, three runs of each side in turn (quick: 32 and one); processor seconds are the ratio's."""
    if data_dir("cifar10") is None or data_dir(f"weights/cifar10-{NETWORK}.safetensors") is None:
        return {}
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    python, figures = environment(), dict[str, Any]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(folder, 32 if quick else 512)
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(1 if quick else 3):
            for step in OURS:
                runs.setdefault(f"arithmos, {step}", []).append(by_arithmos(folder, step))
                if step in THEIRS:
                    runs.setdefault(f"brevitas, {step}", []).append(by_brevitas(python, folder, step))
    figures = {label: middle(rows) for label, rows in runs.items()}
    for step, other in AGAINST.items():
        mine, theirs = figures[f"arithmos, {step}"], figures[f"brevitas, {other}"]
        mine["times_whole"] = round(theirs["cpu_s"] / mine["cpu_s"], 1)
        mine["times_whole_with_calibration"] = round(theirs["cpu_s"] / (mine["cpu_s"] + mine["calibrate_cpu_s"]), 1)
        if "solve_cpu_s" in mine:
            mine["times_solve"] = round(theirs["solve_cpu_s"] / mine["solve_cpu_s"], 1)
    figures["peer"] = BREVITAS
    return record("brevitas_peer", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
