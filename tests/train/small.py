"""A training of milliseconds with everything that could make a resumed run differ, and ways to interrupt it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from arithmos.train.config import Config, Optimizer, Schedule
from arithmos.train.memory import Arrays
from arithmos.train.task import Task

CONFIG = Config(
    epochs=4,
    batch_size=16,
    optimizer=Optimizer(learning_rate=0.05),
    schedule=Schedule(warmup_epochs=1),
)
FACTS = {"model": "small", "dataset": "squares"}


class Small(nn.Module):
    """conv -> batch norm -> dropout -> linear: weights, buffers and randomness of its own."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(6, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.conv(images))).mean((2, 3))
        logits: torch.Tensor = self.fc(self.drop(y))
        return logits


def small(classes: int = 3, seed: int = 0) -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(classes)


def squares(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n grey images of 5x5 pixels: a bright row, a bright column, or neither."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = 0.3 * rng.standard_normal((n, 1, 5, 5))
    images[labels == 0, 0, 2] += 2
    images[labels == 1, 0, :, 2] += 2
    return images.astype(np.float32), labels


def data(batch_size: int = 16, seed: int = 0) -> tuple[Arrays, Arrays]:
    """71 training images, so that the last batch is a rest, and 30 held out."""
    return (
        Arrays(*squares(71, 1), batch_size=batch_size, shuffle=True, seed=seed),
        Arrays(*squares(30, 2), batch_size=20),
    )


def task(model: nn.Module | None = None, **changed: Any) -> Task:
    return replace(Task(model or small(), FACTS), **changed)


def interrupting(epoch: int, step: int) -> Any:
    """A watch that sends SIGINT to this process before a batch is used; both count from 1."""

    def watch(current: int, batches: Iterable[Any]) -> Iterator[Any]:
        for number, batch in enumerate(batches, 1):
            if (current, number) == (epoch, step):
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    return watch


def stored(folder: Path, name: str = "resume") -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint of a run."""
    with safe_open(folder / f"{name}.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
