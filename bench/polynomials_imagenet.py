"""Polynomials of networks for ImageNet: the margin's error at alpha 14 against its first-order bound, and memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.evidence.attribution import attribution
from arithmos.lower.approximate import prepared_for
from arithmos.lower.polynomials import choose
from arithmos.models.registry import build
from arithmos.targets import clear
from arithmos.train.data.datasets import load
from record import data_dir, in_child, peak_mib, record

NETWORKS = ("resnet18", "resnet50", "vgg11_bn", "googlenet", "inception_v3")
N_CALIBRATION, N_IMAGES = 24, 2


def network(name: str, seen: np.ndarray) -> torch.nn.Module:
    """Random weights, batch norms with the statistics of the calibration images."""
    model = build(name, seed=0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over batches
            module.reset_running_stats()
    with torch.no_grad():
        model.train()(torch.from_numpy(seen[:8]))
    return model.eval()


def row(name: str) -> dict[str, Any]:
    """One network on ImageNet's pictures, in this process."""
    folder = data_dir("imagenet-sample")
    assert folder is not None, "no pictures of ImageNet"
    images, _ = load("imagenet", "test", folder, limit=N_CALIBRATION + N_IMAGES)
    seen, given = images[:N_CALIBRATION], images[N_CALIBRATION:]
    graph = ar.trace(network(name, seen), torch.zeros(2, *images.shape[1:]))
    batches = [seen[i : i + 4] for i in range(0, N_CALIBRATION, 4)]
    recipe = ar.Recipe(alpha=14, margin=2.0)
    prepared = prepared_for(graph, ar.calibrate(graph, batches, stream=clear.stream), recipe)
    start = time.perf_counter()
    found = attribution(prepared.graph, choose(prepared, recipe), [given], runners_up=1)
    return {
        "images": N_IMAGES,
        "activations": len(found.layers),
        "margin": float(np.abs(found.margin).mean()),
        "bound": float(found.absolute.max()),
        "first_order": float(np.abs(found.first_order).max()),
        "actual": float(np.abs(found.actual).max()),
        "within_the_bound": bool((np.abs(found.actual) <= found.absolute).all()),
        "seconds": round(time.perf_counter() - start, 1),
        "peak_mib": round(peak_mib()),
    }


CHILD = """
import json, sys
sys.path.insert(0, "bench")
from polynomials_imagenet import row
print(json.dumps(row({name!r})))
"""


def main() -> dict[str, Any]:
    """Each network in a process of its own."""
    return record("polynomials_imagenet", {name: in_child(CHILD.format(name=name)) for name in NETWORKS})


if __name__ == "__main__":
    print(main())
