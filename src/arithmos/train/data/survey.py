"""What a split holds: how many pictures of each class, in which layout, and a few of them to look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from arithmos.train.data.augment import N_DRAWS
from arithmos.train.data.classes import CLASSES
from arithmos.train.data.loader import Job, Loader, Task, make
from arithmos.train.data.order import generator

FEW_CLASSES = 20
"""Up to so many classes are shown one a row, each with its name."""


@dataclass(frozen=True, slots=True)
class Survey:
    """counts: pictures of each class; classes: their names, "" where none is known; digest: as Loader.digest.

    corrupt: file and reason of every picture that was found not to be one.
    """

    split: str
    layout: str
    where: Path
    n_images: int
    counts: tuple[int, ...]
    classes: tuple[str, ...]
    digest: str
    corrupt: tuple[str, ...]


def survey(name: str, split: str, data: Loader) -> Survey:
    """What is known of the loader's split. Small pictures are decoded for it; large ones only if the loader ran."""
    n_classes = data.dataset.classes
    counts = np.bincount(data.split.labels, minlength=n_classes)
    classes = data.split.classes or CLASSES.get(name, ("",) * n_classes)
    digest = data.digest
    return Survey(
        split=split,
        layout=data.split.layout,
        where=data.split.where,
        n_images=data.n_images,
        counts=tuple(counts.tolist()),
        classes=classes,
        digest=digest,
        corrupt=tuple(data.corrupt.values()),
    )


def rows_to_show(labels: np.ndarray, n_classes: int, n: int, seed: int) -> np.ndarray:
    """About n rows drawn by seed: as many of each class, class by class, where classes are few; else any, by class."""
    rng = np.random.default_rng(seed)
    if n_classes > FEW_CLASSES:
        drawn = rng.permutation(len(labels))[:n]
        return drawn[np.argsort(labels[drawn], kind="stable")]
    of_each = [np.flatnonzero(labels == label) for label in range(n_classes)]
    drawn_of_each = [rng.permutation(rows)[: max(1, n // n_classes)] for rows in of_each]
    return np.concatenate(drawn_of_each)


def pictures(data: Loader, rows: np.ndarray, *, augment: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures in [0, 1], float32 (n, channels, height, width), labels) of these rows, as training sees them.

    Pictures that cannot be decoded are left out where the loader skips them; else raises UsageError.
    """
    plain = replace(data.preparation, mean=(0.0,), std=(1.0,))
    plan = replace(data.plan, augmentation=data.dataset.augmentation if augment else None)
    draws = generator(seed, 0).random((len(rows), N_DRAWS), dtype=np.float32) if augment else None
    made = make(Task(data.split, data.dataset, plain, plan), Job(rows, draws))
    return made.images, made.labels
