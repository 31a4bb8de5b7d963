"""Training throughput of ResNet-20: `arithmos train` against a plain PyTorch loop with the same loader, in one run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from arithmos.models.registry import build, entry
from arithmos.train.config import Config
from arithmos.train.data.loader import loader
from arithmos.train.loop import epochs, threads
from arithmos.train.memory import Arrays
from arithmos.train.task import Batches, Task
from record import data_dir, record

BATCH = 128


def batches(folder: Path | None, n: int, split: str) -> Batches:
    """n images of CIFAR-10, augmented as in training; random ones where there is no data."""
    if folder is None:
        rng = np.random.default_rng(0)
        return Arrays(rng.standard_normal((n, 3, 32, 32), dtype=np.float32), rng.integers(0, 10, n), batch_size=BATCH)
    training = split == "train"
    options: dict[str, Any] = {"preparation": entry("resnet20").preparation, "batch_size": BATCH, "limit": n}
    return loader("cifar10", split, folder, augment=training, shuffle=training, **options)


def plain(data: Batches) -> float:
    """Images a second of one epoch of the loop that PyTorch's tutorials show."""
    model = build("resnet20").train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    start, total = time.perf_counter(), 0.0
    for images, labels in data:
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return data.n_images / (time.perf_counter() - start)


def ours(data: Batches, held_out: Batches) -> float:
    """Images a second of one epoch of `arithmos train`, the evaluation left out as it is in the plain loop."""
    (epoch,) = epochs(Task(build("resnet20"), {}), data, held_out, Config(epochs=1, batch_size=BATCH))
    return epoch.images_per_s


def pipeline(data: Batches) -> float:
    """Images a second of the loader alone."""
    start = time.perf_counter()
    for _ in data:
        pass
    return data.n_images / (time.perf_counter() - start)


def main(quick: bool = False) -> dict[str, Any]:
    """The fastest of several epochs of each; the two take turns, so that both meet the same disturbances."""
    rounds, n = (2, 5 * BATCH) if quick else (8, 15 * BATCH)
    folder = data_dir("cifar10")
    data, held_out = batches(folder, n, "train"), batches(folder, BATCH, "test")
    figures: dict[str, Any] = {"images": n, "batch_size": BATCH, "data": "CIFAR-10" if folder else "random"}
    figures["loader_images_per_s"] = round(max(pipeline(data) for _ in range(3)))
    calls: dict[str, Callable[[], float]] = {"plain": lambda: plain(data), "train": lambda: ours(data, held_out)}
    for n_threads in (1, 2):
        with threads(n_threads):
            best = dict.fromkeys(calls, 0.0)
            for _ in range(rounds):
                best = {name: max(best[name], call()) for name, call in calls.items()}
        row: dict[str, Any] = {f"{name}_images_per_s": round(speed, 1) for name, speed in best.items()}
        figures[f"threads_{n_threads}"] = {**row, "ratio": round(best["train"] / best["plain"], 2)}
    return record("training", figures)


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
