"""Images a second: our batches against a loader that treats one picture at a time, and decoding of large pictures."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from arithmos.train.data.datasets import DATASETS
from arithmos.train.data.loader import Loader, loader
from record import data_dir, record

BATCH = 128


class OneByOne:
    """Pad, crop, flip, scale, normalise: each picture by itself through Pillow and torch, as is usual."""

    def __init__(self, data: Loader) -> None:
        self.pixels = np.ascontiguousarray(data._store[0].transpose(0, 2, 3, 1))
        self.labels = data.split.labels
        self.mean = torch.tensor(data.preparation.mean).view(3, 1, 1)
        self.std = torch.tensor(data.preparation.std).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.pixels[row]), 4)
        left, top = random.randint(0, 8), random.randint(0, 8)
        image = image.crop((left, top, left + 32, top + 32))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return pixels.sub_(self.mean).div_(self.std), int(self.labels[row])


def rate(batches: Iterable[Any], epochs: int = 2) -> int:
    """Images a second in the fastest of so many epochs, after one that decodes, or starts the processes."""
    fastest, n = float("inf"), 0
    for epoch in range(epochs + 1):
        start, n = time.perf_counter(), sum(len(labels) for _, labels in batches)
        fastest = min(fastest, time.perf_counter() - start) if epoch else fastest
    return round(n / fastest)


def small(quick: bool) -> dict[str, Any]:
    """CIFAR-10 with its augmentation: ours in one process, the other one in one and with two more."""
    folder = data_dir("cifar10" if quick else "cifar10-jpeg")
    if folder is None:
        return {}
    start = time.perf_counter()
    ours = loader("cifar10", "train", folder, batch_size=BATCH, augment=True, shuffle=True)
    next(iter(ours))
    figures = {"images": ours.n_images, "first_batch_s": round(time.perf_counter() - start, 2)}
    figures["ours"] = rate(ours, 6)
    theirs = OneByOne(ours)
    for workers in (0, 2):
        batches = DataLoader(theirs, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        figures[f"one_by_one_{workers}_workers"] = rate(batches)
    best = max(figures["one_by_one_0_workers"], figures["one_by_one_2_workers"])
    figures["ratio"] = round(figures["ours"] / best, 1)
    return figures


def large(quick: bool) -> dict[str, Any]:
    """ImageNet's pictures, prepared for a test and augmented for training."""
    folder = data_dir("imagenet-sample")
    if folder is None:
        return {}
    figures: dict[str, Any] = {"crop": DATASETS["imagenet"].preparation.crop}
    for workers in (0,) if quick else (0, 2):
        for augment in (False, True):
            data = loader("imagenet", "test", folder, batch_size=25, augment=augment, shuffle=augment, workers=workers)
            figures[f"{'train' if augment else 'test'}_{workers}_workers"] = rate(data, 3)
    return figures


def main(quick: bool = False) -> dict[str, Any]:
    """Images a second of both, torch on one thread a process."""
    torch.set_num_threads(1)
    return record("data", {"cifar10": small(quick), "imagenet": large(quick)})


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
