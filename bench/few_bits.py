"""Few-bit weights of ResNet-20, nothing trained: top-1 by bits and method; W4A8 in integers on every runner."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import arithmos as ar
from accuracy import top1
from agreement import summary
from arithmos.ir.graph import Graph
from arithmos.lower.analog import layer_inputs
from arithmos.lower.calibrate import Stats
from arithmos.lower.float_activations import float_activations
from arithmos.lower.quantize import decide, prepare
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.targets.clear.nodes import run_node
from arithmos.train.data.datasets import load
from record import data_dir, record

BITS = (1, 2, 3, 4, 5, 8)

NARROW: dict[str, dict[str, Any]] = {
    "nearest, mse": {"rounding": "nearest", "weight_observer": "mse"},
    "nearest": {"rounding": "nearest", "weight_observer": "hessian"},
    "adaround": {"rounding": "adaround", "weight_observer": "hessian"},
    "gpfq, minmax": {"rounding": "gpfq", "weight_observer": "minmax"},
    "gpfq": {"rounding": "gpfq"},
    "gpfq, energy": {"rounding": "gpfq", "order": "energy"},
    "gpfq+descent": {"rounding": "gpfq+descent"},
    "spfq": {"rounding": "spfq"},
    "spfq+descent": {"rounding": "spfq+descent"},
    "gptq": {"rounding": "gptq"},
    "gptq+descent": {"rounding": "gptq+descent"},
    "gptq_corrected": {"rounding": "gptq_corrected"},
    "gptq_corrected+descent": {"rounding": "gptq_corrected+descent"},
    "gpfq+descent, learned scale": {"rounding": "gpfq+descent", "learned_scale": 3},
    "gptq_corrected+descent, learned scale": {"rounding": "gptq_corrected+descent", "learned_scale": 3},
    "gpfq+descent, batch norm": {"rounding": "gpfq+descent", "corrections": ("batch_norm",)},
    "gptq_corrected+descent, batch norm": {"rounding": "gptq_corrected+descent", "corrections": ("batch_norm",)},
    "gptq_corrected+descent, learned scale, batch norm": {
        "rounding": "gptq_corrected+descent",
        "learned_scale": 3,
        "corrections": ("batch_norm",),
    },
}
"""Levels that fit b bits, one step a channel; by the hessian rule where none is named (at 8 bits by the maximum)."""

PUBLISHED: dict[str, dict[str, Any]] = {
    "nearest, scalar 1.16": {"rounding": "nearest", "scalar": 1.16},
    "gpfq, scalar 1.16": {"rounding": "gpfq", "scalar": 1.16},
    "gpfq, scalar 1.16, published patches": {"rounding": "gpfq", "scalar": 1.16, "patches": "published"},
    "spfq, scalar 1.16": {"rounding": "spfq", "scalar": 1.16},
    "gpfq": {"rounding": "gpfq"},
    "gpfq+descent": {"rounding": "gpfq+descent"},
    "gptq_corrected+descent": {"rounding": "gptq_corrected+descent"},
}
"""2**b + 1 levels; one step a layer where a scalar is given."""

W4A8 = ar.Recipe(rounding="gpfq", weight_observer="minmax", overrides={"*": {"weight_bits": 4}})


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The network, what calibration saw of it, the float network's layer inputs, and test images with labels."""

    graph: Graph
    stats: Stats
    analog: list[Any]
    images: np.ndarray
    labels: np.ndarray

    def row(self, recipe: ar.Recipe) -> dict[str, Any]:
        """Top-1 with float activations, the share of zeros, the worst layer's error, and what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        prepared, choice = decide(self.graph, self.stats, recipe, analog=iter(self.analog), run=run_node)
        spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        integers = np.concatenate([chosen.integers.ravel() for chosen in choice.weights.values()])
        errors = [fit.relative_error for fit in choice.fits.values() if fit.relative_error is not None]
        return {
            "top1": round(100 * top1(float_activations(prepared, choice), self.images, self.labels), 2),
            "zeros": round(float((integers == 0).mean()), 4),
            "largest_error": round(max(errors), 4) if errors else None,
        } | {key: round(value, 2) for key, value in spent.items()}


def subject(n_calibration: int, n_test: int) -> Subject | None:
    """ResNet-20 with its published weights and real images; None without them."""
    folder, weights = data_dir("cifar10"), data_dir("weights/cifar10-resnet20.safetensors")
    if folder is None or weights is None:
        return None
    model, preparation = build("resnet20"), entry("resnet20").preparation
    load_weights(model, weights)
    graph = ar.trace(model, torch.zeros(2, 3, 32, 32))
    calibration, _ = load("cifar10", "train", folder, limit=n_calibration, preparation=preparation)
    stats = ar.calibrate(graph, [calibration], keep=n_calibration)
    analog = [(name, list(inputs)) for name, inputs in layer_inputs(prepare(graph), stats.samples, run_node)]
    return Subject(graph, stats, analog, *load("cifar10", "test", folder, limit=n_test, preparation=preparation))


def table(found: Subject, levels: str, methods: dict[str, dict[str, Any]], bits: tuple[int, ...]) -> dict[str, Any]:
    """method -> bits -> row, weights alone quantized, all layers to the same bits."""
    rows: dict[str, Any] = {}
    for label, fields in methods.items():
        for b in bits:
            wish = {"levels": levels, "error_correction": "weights", "overrides": {"*": {"weight_bits": b}}}
            row = found.row(ar.Recipe(**wish, **fields))
            rows.setdefault(label, {})[str(b)] = row
            print(levels, label, b, row, file=sys.stderr, flush=True)
    return rows


def integers(found: Subject, n: int) -> dict[str, Any]:
    """W4A8: top-1 of the integer network on the engine, and its values on every runner, for n test images."""
    net = ar.quantize(found.graph, found.stats, W4A8)
    accuracy = round(100 * top1(net, found.images, found.labels), 2)
    return {"top1": accuracy, "agreement": summary(ar.verify(net, found.images[:n]))}


def main(quick: bool = False) -> dict[str, Any]:
    """512 training images calibrate, 500 test images count (quick: 64, 100, 4 bits and two methods of each kind)."""
    torch.set_num_threads(1)
    found = subject(64, 100) if quick else subject(512, 500)
    if found is None:
        return {}
    narrow, published, bits = NARROW, PUBLISHED, BITS
    if quick:
        narrow, published, bits = {"gpfq": NARROW["gpfq"]}, {"gpfq": PUBLISHED["gpfq"]}, (4,)
    figures: dict[str, Any] = {
        "float": round(100 * top1(found.graph, found.images, found.labels), 2),
        "images": {"calibration": found.stats.n_samples, "test": len(found.labels)},
        "narrow": table(found, "narrow", narrow, bits),
        "published": table(found, "published", published, bits),
        "W4A8": integers(found, 2 if quick else 10),
    }
    return record("few_bits", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
