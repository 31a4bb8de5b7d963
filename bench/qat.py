"""Quantization-aware training of ResNet-20 on lossless CIFAR-10: float, post-training and trained integers, top-1.

Trained on the 4,000 lossless training images with the usual crops and flips, by distillation from the float network;
the answers are those of the engine on the 500 lossless test images, after the last epoch (none is chosen by them).
First and last layer have 8 bits (Recipe.edge_bits).
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import torch

import arithmos as ar
from accuracy import top1
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.train.data.datasets import load
from arithmos.train.data.loader import loader
from arithmos.train.distill import SHARE, TEMPERATURE, distillation
from arithmos.train.qat import CONFIG, qat
from record import data_dir, record

LEARNED: dict[str, Any] = {"rounding": "descent", "corrections": ("batch_norm",)}
ROWS: dict[str, tuple[ar.Recipe, int]] = {
    "W8A8": (ar.Recipe(), 2),
    "W4A4": (ar.Recipe(weight_bits=4, activation_bits=4, **LEARNED), 3),
    "W2A4": (ar.Recipe(weight_bits=2, activation_bits=4, **LEARNED), 6),
    "W4A4 power of two": (ar.Recipe(weight_bits=4, activation_bits=4, scales="power_of_two", **LEARNED), 3),
}
"""name -> (recipe, epochs). Training starts from the integers of the recipe, "ptq" in the result."""


def main(quick: bool = False, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every row whose data is there; `quick` trains one epoch of 512 images, `only` the named rows."""
    folder, weights = data_dir("cifar10"), data_dir("weights/cifar10-resnet20.safetensors")
    if folder is None or weights is None:
        return {}
    model = build("resnet20")
    load_weights(model, weights)
    preparation = entry("resnet20").preparation
    graph = ar.trace(model, torch.zeros(2, *entry("resnet20").input_shape))
    calibration, _ = load("cifar10", "train", folder, limit=256, preparation=preparation)
    stats = ar.calibrate(graph, [calibration])
    images, labels = load("cifar10", "test", folder, limit=500, preparation=preparation)
    shared: dict[str, Any] = {"preparation": preparation, "seed": CONFIG.seed}
    limit = 512 if quick else None
    data = loader("cifar10", "train", folder, batch_size=64, augment=True, shuffle=True, limit=limit, **shared)
    held_out = loader("cifar10", "test", folder, batch_size=125, limit=100 if quick else 500, **shared)
    reference = top1(graph, images, labels)
    rows: dict[str, Any] = {}
    for name, (recipe, epochs) in ROWS.items():
        if only and name not in only:
            continue
        before, start = top1(ar.quantize(graph, stats, recipe), images, labels), time.perf_counter()
        config = dataclasses.replace(CONFIG, epochs=1 if quick else epochs)
        trained = qat(graph, stats, recipe, data, held_out, config, loss=distillation(model), report=print)
        after = top1(trained.net, images, labels)
        rows[name] = {
            "ptq": round(100 * before, 2),
            "qat": round(100 * after, 2),
            "loss": round(100 * (reference - after), 2),
            "epochs": config.epochs,
            "wall_s": round(time.perf_counter() - start, 1),
        }
        print(name, rows[name], flush=True)
    figures = {
        "float": round(100 * reference, 2),
        "train_images": data.n_images,
        "test_images": len(labels),
        "seed": CONFIG.seed,
        "batch_size": CONFIG.batch_size,
        "learning_rate": CONFIG.optimizer.learning_rate,
        "distillation": {"temperature": TEMPERATURE, "share": SHARE},
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    return figures if quick or only else record("qat", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv, tuple(a for a in sys.argv[1:] if not a.startswith("--"))))
