"""Rows of a sweep that was never run: what a table of results can hold, with numbers that tests know."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

LAYERS = ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "fc")


def row(**given: Any) -> dict[str, Any]:
    """One run that is done; given: cells by column, with _ for a space."""
    bits, scalar = given.get("Bits", 4), given.get("CNN_Alphabet_Scalar", 1.16)
    lost = 0.6 * math.exp(-0.9 * bits) * (1 + 30 * (scalar - 1.3) ** 2)
    made = {
        "Model Name": "resnet20",
        "Dataset": "cifar10",
        "Quantization Batch Size": 512,
        "Original Top1 Accuracy": 0.91,
        "Quantized Top1 Accuracy": round(max(0.1, 0.912 - lost), 4),
        "Original Top5 Accuracy": 0.996,
        "Quantized Top5 Accuracy": round(max(0.5, 0.996 - lost / 4), 4),
        "Bits": bits,
        "MLP_Alphabet_Scalar": scalar,
        "CNN_Alphabet_Scalar": scalar,
        "MLP_Percentile": 1.0,
        "CNN_Percentile": 1.0,
        "Stochastic Quantization": False,
        "Regularizer": None,
        "Lambda": 0.1,
        "Original Sparsity": 0.0,
        "Quantized Sparsity": round(0.5 * math.exp(-0.5 * bits), 4),
        "Retain_rate": 0.25,
        "Fusion": True,
        "Seed": 0,
        "Method": "gpfq",
        "Levels": "published",
        "Step Rule": "published",
        "Error Correction": "activations",
        "Bits per Weight": round(math.log2(2**bits + 1), 4),
        "Layer Errors": ";".join(f"{name}={0.8 * 2.0**-bits * (1 + k % 3):.5f}" for k, name in enumerate(LAYERS)),
        "Mean Layer Error": 0.8 * 2.0**-bits,
        "Max Layer Error": 2.4 * 2.0**-bits,
        "Wall Seconds": 4.0 + bits / 8 + 7 * scalar % 1,
        "Peak Memory MiB": 700 + 10 * bits,
        "Status": "done",
    }
    made |= {key.replace("_", " ") if key.replace("_", " ") in made else key: cell for key, cell in given.items()}
    keys = ("Method", "Levels", "Bits", "CNN_Alphabet_Scalar", "Regularizer", "Lambda", "Seed")
    return made | {"Digest": "-".join(str(made[key]) for key in keys)}


def published(
    bits: Iterable[int] = range(1, 9), scalars: Iterable[float] = (1.0, 1.2, 1.4, 1.6)
) -> list[dict[str, Any]]:
    """The grid of widths and scalars."""
    scalars = list(scalars)
    return [row(Bits=b, CNN_Alphabet_Scalar=s) for b in bits for s in scalars]


def regularized() -> list[dict[str, Any]]:
    """Two widths, two regularizers, rising lambda; and none."""
    made = [row(Bits=b, Regularizer=None) for b in (2, 4)]
    for b in (2, 4):
        for kind in ("L1", "L0"):
            for lamb in (0.01, 0.05, 0.1, 0.2):
                lost = lamb * (0.6 if kind == "L1" else 0.4) * 4 / b
                made.append(
                    row(
                        Bits=b,
                        Regularizer=kind,
                        Lambda=lamb,
                        Quantized_Sparsity=round(0.2 + 2 * lamb + 0.1 * (kind == "L1"), 4),
                        Quantized_Top1_Accuracy=round(0.9 - lost, 4),
                    )
                )
    return made


def failure() -> dict[str, Any]:
    """A run whose worker was lost."""
    lost = {key: None for key in row() if "Accuracy" in key or key.endswith(("Error", "Errors"))}
    return {**row(Bits=3, CNN_Alphabet_Scalar=1.9), **lost, "Status": "the worker was <killed>"}
