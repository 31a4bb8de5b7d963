"""Polynomial networks: the kernel against other evaluations, forwards against exact ones, accuracy on real images."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.approx.composite import Composite, relu_of
from arithmos.approx.sets import sign_set
from arithmos.errors import RangeEscape
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.lower.approximate import prepared_for
from arithmos.lower.calibrate import Stats
from arithmos.lower.replacement import with_bounds
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets import clear
from arithmos.targets.clear.kernel import by_torch, evaluate, kernel_of
from arithmos.targets.clear.network import Network
from arithmos.train.data.datasets import load
from engine import fastest
from record import data_dir, in_child, record

ELEMENTS, QUICK_ELEMENTS = 1 << 24, 1 << 20
BATCH = 128
RECIPES = {
    "composite 8": ar.Recipe(alpha=8),
    "composite 11": ar.Recipe(alpha=11),
    "composite 14": ar.Recipe(alpha=14),
    "composite 8, B 50": ar.Recipe(alpha=8, B_relu=50),
    "composite 11, B 50": ar.Recipe(alpha=11, B_relu=50),
    "fitted [29]": ar.Recipe(method="fitted"),
    "fitted [15]": ar.Recipe(method="fitted", degrees=[15]),
    "fitted [7, 7]": ar.Recipe(method="fitted", degrees=(7, 7)),
    "square": ar.Recipe(method="square"),
    "relu_aq": ar.Recipe(method="relu_aq"),
}


def published(composite: Composite, x: torch.Tensor) -> torch.Tensor:
    """x (1 + p(x)) / 2 as published code evaluates it: sum of c_k x**k over all k; float64 from the second stage on."""
    y = x
    for number, stage in enumerate(composite.stages):
        powers = np.polynomial.chebyshev.cheb2poly(stage)
        total = torch.zeros_like(y)
        for k, c in enumerate(powers):
            total = total + float(c) * y**k
        y = total.double() if number == 0 else total
    return x * (1 + y) / 2


def kernel(n: int) -> dict[str, Any]:
    """[15, 15, 27] on n float32 in memory, in one thread: seconds, ratios, deviation from float64 on [-1, 1]."""
    torch.set_num_threads(1)
    composite = sign_set(13, offset=False)
    made = kernel_of(composite.stages, bound=1.0, form="relu", offset=0.0, gain=1.0)
    x = torch.rand(n, generator=torch.Generator().manual_seed(0)) * 2 - 1
    out = torch.empty_like(x)
    evaluate(made, x, out)
    off = np.abs(out[: 1 << 20].numpy() - relu_of(composite, x[: 1 << 20].numpy())).max()
    quick = {"ours": lambda: evaluate(made, x, out), "relu": lambda: torch.clamp_min(x, 0, out=out)}
    ours, relu = fastest(quick, 9).values()
    chunked = fastest({"": lambda: by_torch(made, x, out)}, 3)[""]
    start = time.perf_counter()
    published(composite, x)
    theirs = time.perf_counter() - start
    return {
        "elements": n,
        "kernel_ms": round(1e3 * ours, 1),
        "relu_ms": round(1e3 * relu, 1),
        "chunked_torch_ms": round(1e3 * chunked, 1),
        "power_basis_ms": round(1e3 * theirs),
        "times_chunked_torch": round(chunked / ours, 1),
        "times_power_basis": round(theirs / ours, 1),
        "log2_deviation": round(float(np.log2(off)), 2),
    }


def cifar(name: str, n_calibration: int, n_test: int) -> tuple[Graph, Stats, np.ndarray, np.ndarray] | None:
    """A trained CIFAR-10 ResNet, its statistics on training images, and test images with labels."""
    folder, weights = data_dir("cifar10"), data_dir(f"weights/cifar10-{name}.safetensors")
    if folder is None or weights is None:
        return None
    model = build(name)
    load_weights(model, weights)
    graph = ar.trace(model, torch.zeros(2, *entry(name).input_shape))
    seen, _ = load("cifar10", "train", folder, limit=n_calibration, preparation=entry(name).preparation)
    images, labels = load("cifar10", "test", folder, limit=n_test, preparation=entry(name).preparation)
    return graph, ar.calibrate(graph, [seen], stream=clear.stream), images, labels


def outputs(net: Graph, images: np.ndarray) -> tuple[np.ndarray, int]:
    """The logits, and how many bounds had to be raised: each by what the escape names, then on with the same images."""
    parts, raised, start = [], 0, 0
    while start < len(images):
        try:
            parts.append(ar.run(net, images[start : start + 50], target="clear"))
            start += 50
        except RangeEscape as escape:
            reader = next(n for n in net.nodes if n.op == "polynomial" and n.inputs[0] == escape.value_name)
            net, raised = with_bounds(net, {reader.output: 1.1 * escape.enough}), raised + 1
            if raised > 200 or not np.isfinite(escape.enough):
                raise
    return np.concatenate(parts), raised


def deviation(logits: np.ndarray, exact: np.ndarray) -> float:
    """Root mean square over images and classes."""
    return float(np.sqrt(np.mean((logits.astype(np.float64) - exact) ** 2)))


def accuracy(name: str, n_calibration: int, n_test: int) -> dict[str, Any] | None:
    """Top-1 of every recipe in per cent, agreement with the exact network, root mean square deviation of the logits."""
    found = cifar(name, n_calibration, n_test)
    if found is None:
        return None
    graph, stats, images, labels = found
    exact, _ = outputs(graph, images)
    rows: dict[str, Any] = {"images": n_test, "exact": round(100 * float((exact.argmax(1) == labels).mean()), 2)}
    for title, recipe in RECIPES.items():
        net = ar.approximate(graph, stats, recipe)
        try:
            logits, raised = outputs(net, images)
        except RangeEscape as escape:
            rows[title] = {"escaped": escape.what}
            continue
        finite = np.isfinite(logits).all(axis=1)  # what overflows is no answer
        rows[title] = {
            "top1": round(100 * float((finite & (logits.argmax(1) == labels)).mean()), 2),
            "agreement": round(100 * float((finite & (logits.argmax(1) == exact.argmax(1))).mean()), 1),
            "rms": float(f"{deviation(logits, exact):.3g}") if np.isfinite(logits).all() else None,
            "bounds_raised": raised,
            "levels": depth(net).activation_levels,
        }
    return rows


def networks() -> dict[str, Network]:
    """ResNet-20 with random weights: exact, batch norms folded, and with polynomials; the same runner for all."""
    torch.manual_seed(0)
    graph = ar.trace(build("resnet20"), torch.zeros(2, 3, 32, 32))
    stats = ar.calibrate(graph, [images_of(16)])
    found = {"exact": Network(prepared_for(graph, stats).graph)}
    for alpha in (7, 13):
        net = ar.approximate(graph, stats, ar.Recipe(alpha=alpha, margin=8.0))
        found[str(list(sign_set(alpha, offset=False).degrees))] = Network(net)
    return found


def images_of(n: int) -> np.ndarray:
    """n random images."""
    return np.random.default_rng(0).standard_normal((n, 3, 32, 32), dtype=np.float32)


def peaks() -> dict[str, float]:
    """MiB that a forward of BATCH images adds to the resident memory at its peak."""
    torch.set_num_threads(1)
    images, found = images_of(BATCH), {}
    for title, network in networks().items():
        network.outputs({network.graph.inputs[0]: images[:1]})
        clear_peak()
        before = resident_mib("VmRSS")
        network.outputs({network.graph.inputs[0]: images})
        found[title] = resident_mib("VmHWM") - before
    return found


def clear_peak() -> None:
    """Let the kernel count the peak of this process anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def resident_mib(field: str) -> float:
    """VmRSS: resident memory now; VmHWM: its peak."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1024


def forwards(rounds: int) -> dict[str, Any]:
    """The approximate forward against the exact one, in one thread: they take turns, the fastest of each counts.

    Memory is measured in a process whose allocator returns what is freed, so that the peak is that of live tensors.
    """
    torch.set_num_threads(1)
    images = images_of(BATCH)
    calls = {
        title: partial(network.outputs, {network.graph.inputs[0]: images}) for title, network in networks().items()
    }
    seconds = fastest(calls, rounds)
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 16)
    mib = in_child(
        "import sys, json; sys.path.insert(0, 'bench'); import polynomials as p; print(json.dumps(p.peaks()))"
    )
    return {"images": BATCH} | {
        title: {
            "ms": round(1e3 * seconds[title], 1),
            "mib": round(mib[title], 1),
            "times_exact": round(seconds[title] / seconds["exact"], 3),
            "times_exact_memory": round(mib[title] / mib["exact"], 3),
        }
        for title in calls
    }


def main(quick: bool = False) -> dict[str, Any]:
    """Everything that the machine and the data allow."""
    figures: dict[str, Any] = {"kernel": kernel(QUICK_ELEMENTS if quick else ELEMENTS)}
    figures["forward"] = forwards(3 if quick else 10)
    for name in ("resnet20",) if quick else ("resnet20", "resnet32"):
        if rows := accuracy(name, 500 if quick else 4000, 100 if quick else 500):
            figures[name] = rows
    return record("polynomials", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
