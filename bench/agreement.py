"""Agreement: engine, ONNX Runtime and C against the interpreter, every value of the network, by ==."""

from __future__ import annotations

import sys
from typing import Any

import torch

import arithmos as ar
from arithmos.evidence.verify import Check
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.train.data.datasets import load
from arithmos.train.digits import train_digits
from record import data_dir, record


def summary(check: Check) -> dict[str, Any]:
    """Values and integers compared by each runner, both paths together, and the roundings that were exact ties."""
    runners: dict[str, Any] = {}
    for row in check.rows:
        found = runners.setdefault(row.target, {"values": 0, "elements": 0, "equal": True, "skipped": row.skipped})
        found["values"] = max(found["values"], row.values)
        found["elements"] += row.elements
        found["equal"] = found["equal"] and row.result == "equal"
    return {"samples": sum(check.samples.values()), "ties": check.ties, "runners": runners}


def resnet20(n: int) -> dict[str, Any] | None:
    """Trained CIFAR-10 ResNet-20, W8A8, on n test images, and on random inputs, corners and ties."""
    folder, weights = data_dir("cifar10"), data_dir("weights/cifar10-resnet20.safetensors")
    if folder is None or weights is None:
        return None
    model = build("resnet20")
    load_weights(model, weights)
    preparation = entry("resnet20").preparation
    graph = ar.trace(model, torch.zeros(2, 3, 32, 32))
    calibration, _ = load("cifar10", "train", folder, limit=256, preparation=preparation)
    images, _ = load("cifar10", "test", folder, limit=n, preparation=preparation)
    net = ar.quantize(graph, ar.calibrate(graph, [calibration]))
    return summary(ar.verify(net, images))


def digits(n: int) -> dict[str, Any]:
    """The digits network of the demo on n random, corner and tie inputs."""
    model = train_digits(build("digits_cnn")).model
    images, _ = load("digits", "train")
    graph = ar.trace(model, torch.zeros(2, 1, 8, 8))
    net = ar.quantize(graph, ar.calibrate(graph, [images]))
    return summary(ar.verify(net, uniform=n - n // 5, corners=n // 10, ties=n // 10))


def main(quick: bool = False) -> dict[str, Any]:
    """100 images of ResNet-20 and 1,000 made inputs of the digits network (quick: a tenth)."""
    rows = {"resnet20": resnet20(10 if quick else 100), "digits_cnn": digits(100 if quick else 1000)}
    return record("agreement", {name: row for name, row in rows.items() if row})


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
