"""Generated C: seconds to compile the digits network, and ResNet-20 against the engine, both on one thread."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.ir.border import admit
from arithmos.models.registry import build
from arithmos.targets import c, engine
from arithmos.train.data.datasets import load
from engine import fastest, network
from record import record

COMPILE = ["cc", "-std=c99", "-O3", "-march=native", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def compile_digits() -> dict[str, Any]:
    """Wall time of one compiler call on every exported source, and the size of the sources."""
    images, _ = load("digits", "train")
    graph = ar.trace(build("digits_cnn"), torch.zeros(2, 1, 8, 8))
    net = ar.quantize(graph, ar.calibrate(graph, [images]))
    with tempfile.TemporaryDirectory() as folder:
        path = ar.export(net, "c", Path(folder) / "c")
        sources = sorted(path.glob("*.c"))
        start = time.perf_counter()
        subprocess.run([*COMPILE, *map(str, sources), "-o", str(path / "network")], check=True)
        seconds = time.perf_counter() - start
        size = sum(p.stat().st_size for p in path.glob("*.[ch]"))
    return {"compile_s": round(seconds, 2), "source_bytes": size}


def resnet20(rounds: int) -> dict[str, Any]:
    """Microseconds an image of the generated program and of the engine on one thread, 64 images, and their ratio."""
    _, net, images = network("resnet20", 64)
    inputs = admit(net, {net.inputs[0]: images})
    runners = {"c": c.TARGET.prepare(net, False), "engine": engine.prepare(net, False, threads=1)}
    results = [runner(inputs) for runner in runners.values()]
    assert all(np.array_equal(results[0][name], results[1][name]) for name in net.outputs)
    seconds = fastest({name: (lambda run=run: run(inputs)) for name, run in runners.items()}, rounds)
    row = {f"{name}_us": round(1e6 * s / len(images), 1) for name, s in seconds.items()}
    return {**row, "times_the_engine": round(seconds["c"] / seconds["engine"], 2)}


def main(quick: bool = False) -> dict[str, Any]:
    """Both figures (quick: fewer rounds)."""
    return record("generated_c", {"digits_cnn": compile_digits(), "resnet20": resnet20(3 if quick else 15)})


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
