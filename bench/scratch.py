"""ResNet-8 trained from nothing by `arithmos train` on CIFAR-10 (JPEG): float, PTQ and QAT top-1 on its test split.

The weights, the log and the configuration are those of bench/runs/resnet8-cifar10-jpeg, after the last epoch. Trained
integers see 20,000 of the training images twice, with the float network as teacher.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from typing import Any

import torch

import arithmos as ar
from accuracy import top1
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.report.canvas import THEMES, as_png, canvas
from arithmos.train.data.datasets import load
from arithmos.train.data.loader import loader
from arithmos.train.distill import distillation
from arithmos.train.qat import CONFIG, qat
from record import ROOT, data_dir, record

RUN = ROOT / "bench" / "runs" / "resnet8-cifar10-jpeg"
LEARNED: dict[str, Any] = {"rounding": "descent", "corrections": ("batch_norm",)}
RECIPES = {"W8A8": ar.Recipe(), "W4A4": ar.Recipe(weight_bits=4, activation_bits=4, **LEARNED)}


def curve() -> bytes:
    """PNG bytes: loss of the training images and accuracy of the held-out ones, by epoch, from metrics.csv."""
    with (RUN / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs, colors = [int(row["epoch"]) for row in rows], THEMES["light"]
    with canvas(colors) as figure_class:
        picture = figure_class(figsize=(7, 2.6), layout="constrained")
        left, right = picture.subplots(1, 2)
        left.plot(epochs, [float(row["loss"]) for row in rows], color=colors.second)
        right.plot(epochs, [100 * float(row["accuracy"]) for row in rows], color=colors.first)
        for axes, title in ((left, "mean loss of the epoch"), (right, "top-1 of the held-out images, %")):
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        return as_png(picture)


def main(quick: bool = False) -> dict[str, Any]:
    """Every recipe, if the JPEG images are there; `quick` uses 500 images and one epoch of 512."""
    folder = data_dir("cifar10-jpeg")
    if folder is None:
        return {}
    model = load_weights(build("resnet8"), RUN / "last.safetensors")
    preparation = entry("resnet8").preparation
    shared: dict[str, Any] = {"preparation": preparation, "seed": CONFIG.seed}
    graph = ar.trace(model, torch.zeros(2, *entry("resnet8").input_shape))
    stats = ar.calibrate(graph, [load("cifar10", "train", folder, limit=256, preparation=preparation)[0]])
    images, labels = load("cifar10", "test", folder, limit=500 if quick else None, preparation=preparation)
    data = loader(
        "cifar10", "train", folder, batch_size=64, augment=True, shuffle=True, limit=512 if quick else 20_000, **shared
    )
    held_out = loader("cifar10", "test", folder, batch_size=125, limit=500, **shared)
    config = dataclasses.replace(CONFIG, epochs=1 if quick else 2)
    rows = {}
    for name, recipe in RECIPES.items():
        before = top1(ar.quantize(graph, stats, recipe), images, labels)
        trained = qat(graph, stats, recipe, data, held_out, config, loss=distillation(model), report=print)
        rows[name] = {"ptq": round(100 * before, 2), "qat": round(100 * top1(trained.net, images, labels), 2)}
        print(name, rows[name], flush=True)
    figures = {
        "network": "resnet8",
        "images": len(labels),
        "float": round(100 * top1(graph, images, labels), 2),
        "qat_images": data.n_images,
        "qat_epochs": config.epochs,
        "seed": CONFIG.seed,
        "rows": rows,
    }
    if quick:
        return figures
    (RUN / "curve.png").write_bytes(curve())
    return record("scratch", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
