"""Batches for training and evaluation: shuffled, augmented, decoded in worker processes where pictures are large."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from arithmos.errors import ArithmosError, UsageError
from arithmos.extras import require
from arithmos.train.data.augment import N_DRAWS, Augmentation, flipped, shifted
from arithmos.train.data.datasets import Dataset, find, open_split, picture
from arithmos.train.data.order import generator, order
from arithmos.train.data.preparation import Preparation, scale
from arithmos.train.data.split import CorruptPicture, Split

if TYPE_CHECKING:
    from torch import Tensor

IN_MEMORY_BYTES = 1 << 30
"""A split of small pictures whose pixels need no more than this is decoded once."""

_ORDER, _AUGMENT = 0, 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a loader makes batches: sizes, seed, and which share of every batch is this process's (number, of how many).

    augmentation: None leaves the pictures as they are prepared.
    """

    batch_size: int
    augmentation: Augmentation | None = None
    shuffle: bool = False
    seed: int = 0
    workers: int = 0
    skip_corrupt: bool = False
    shard: tuple[int, int] = (0, 1)


class Job(NamedTuple):
    """One batch to make: its rows, and the uniform numbers its augmentation uses, (n, N_DRAWS) or None."""

    rows: np.ndarray
    draws: np.ndarray | None


class Made(NamedTuple):
    """One batch made: pixels uint8 or images float32, labels, and what was left out: row -> why."""

    images: Any
    labels: Any
    left_out: dict[int, str]


def loader(
    dataset: str,
    split: str,
    data_dir: Path | str | None = None,
    *,
    preparation: Preparation | None = None,
    batch_size: int,
    augment: bool = False,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
    limit: int | None = None,
    skip_corrupt: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Loader:
    """Batches (images float32 tensor NCHW normalised, labels int64 tensor) of a split, again for every epoch.

    augment: the data set's usual augmentation: black borders, a random crop and (CIFAR) a flip, or (ImageNet) a random
    resized crop and a flip. workers: processes that decode (0: this one); they never change a batch. limit: the first
    pictures of the files only. skip_corrupt: leave pictures out that cannot be decoded, and count them. shard: (k, n)
    gives every n-th picture of each batch, from the k-th on, augmented as without.
    Other parameters and errors as in `datasets.stream`.
    """
    found = find(dataset)
    numbers = {"batch size": (batch_size, 1), "limit": (1 if limit is None else limit, 1), "seed": (seed, 0)}
    for what, (number, least) in {**numbers, "number of workers": (workers, 0)}.items():
        if number < least:
            raise UsageError(f"the {what} is {number}", why=f"it is {least} at least", fix="give a larger number")
    opened = open_split(dataset, split, data_dir)
    if limit is not None and limit < len(opened.labels):
        inside = tuple(start for start in opened.blocks if start < limit)
        opened = replace(opened, labels=opened.labels[:limit], blocks=inside)
    chosen = found.augmentation if augment else None
    plan = Plan(batch_size, chosen, shuffle, seed, workers, skip_corrupt, shard)
    return Loader(found, opened, preparation or found.preparation, plan)


class Loader:
    """The batches of one epoch a time, for as many epochs as asked. A class: it keeps decoded pictures and workers.

    skipped: how many pictures were left out so far; each is counted once. corrupt: row -> why.
    """

    def __init__(self, dataset: Dataset, split: Split, preparation: Preparation, plan: Plan) -> None:
        self.dataset, self.split, self.preparation, self.plan = dataset, split, preparation, plan
        self.corrupt: dict[int, str] = {}
        self._jobs = Jobs(len(split.labels), plan, () if self._in_memory else split.blocks)
        self._feed: Any = None

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._jobs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch = require("torch", "torch")
        n_made = 0
        for made in self._made():
            self.corrupt.update(made.left_out)
            if len(made.labels):
                n_made += 1
                yield torch.as_tensor(made.images), torch.as_tensor(made.labels)
        if not n_made:
            raise UsageError(
                "not one picture can be decoded",
                where=str(self.split.where),
                why=next(iter(self.corrupt.values()), "there are none"),
                fix="fetch the data set again",
            )

    @property
    def n_images(self) -> int:
        """Pictures an epoch, those that turn out to be corrupt among them."""
        return len(self.split.labels)

    @property
    def skipped(self) -> int:
        """Pictures left out so far because they cannot be decoded, each counted once."""
        return len(self.corrupt)

    def set_epoch(self, epoch: int) -> None:
        """The order and the augmentation of the next iteration are those of this epoch."""
        self._jobs.epoch = epoch

    @cached_property
    def digest(self) -> str:
        """sha256 of what is read: "pixels:…" over prepared pixels and labels where they fit into memory, which is the
        same for every lossless layout; else "files:…" over the files' names and sizes and the labels."""
        labels = self.split.labels.astype("<i8").tobytes()
        if not self._in_memory:
            text = self.split.listing()
            return f"files:{hashlib.sha256(text.encode() + labels).hexdigest()}"
        pixels, rows = self._store
        found = hashlib.sha256(repr(pixels.shape).encode())
        found.update(pixels.tobytes())
        found.update(self.split.labels[rows].astype("<i8").tobytes())
        return f"pixels:{found.hexdigest()}"

    @property
    def _in_memory(self) -> bool:
        side = self.preparation.crop or self.preparation.short_side or self.dataset.size
        size = self.n_images * self.preparation.channels * side * side
        return not self.dataset.augmentation.resized and size <= IN_MEMORY_BYTES

    @cached_property
    def _store(self) -> tuple[np.ndarray, np.ndarray]:
        """Every picture, decoded, and the rows they are of."""
        made = _decoded(self._task, Job(np.arange(self.n_images), None))
        self.corrupt.update(made.left_out)
        kept = np.asarray([row for row in range(self.n_images) if row not in made.left_out], dtype=np.int64)
        return made.images, kept

    @property
    def _task(self) -> Task:
        return Task(self.split, self.dataset, self.preparation, self.plan)

    def _made(self) -> Iterator[Made]:
        if self._in_memory:
            yield from (self._from_store(job) for job in self._jobs)
        elif not self.plan.workers:
            task = self._task
            yield from (make(task, job) for job in self._jobs)
        else:
            yield from self._from_workers()

    def _from_store(self, job: Job) -> Made:
        pixels, kept = self._store
        rows, draws = job
        if len(kept) < self.n_images:
            there = np.isin(rows, kept)
            rows, draws = rows[there], draws if draws is None else draws[there]
        places = np.searchsorted(kept, rows) if len(kept) < self.n_images else rows
        images = _finished(pixels[places], draws, self._task)
        return Made(images, self.split.labels[rows], {})

    def _from_workers(self) -> Iterator[Made]:
        if self._feed is None:
            self._feed = require("torch.utils.data", "torch").DataLoader(
                Batches(self._task),
                batch_size=None,
                sampler=self._jobs,
                num_workers=self.plan.workers,
                persistent_workers=True,
                generator=require(
                    "torch", "torch"
                ).Generator(),  # else it would draw from the generator of the training
                collate_fn=_as_it_is,
                worker_init_fn=_ignore_interrupt,
            )
        try:
            for made in self._feed:
                if isinstance(made, ArithmosError):
                    try:
                        raise made
                    finally:
                        del made  # its traceback would hold it, and this loader: torch then waits 5 s for each process
                yield made
        except RuntimeError as problem:
            if "worker" not in str(problem):
                raise
            raise UsageError(
                "a process that decodes pictures has died",
                where=str(self.split.where),
                why=str(problem).splitlines()[0],
                fix="decode in this process (workers=0), or give the machine more memory, and a container more shared "
                "memory (--shm-size=2g)",
            ) from problem


@dataclass(slots=True)
class Jobs:
    """The jobs of an epoch. A class because torch asks for one that can be iterated anew; it knows no loader, since
    a cycle through torch's loader would be collected in some other process that was forked meanwhile."""

    n: int
    plan: Plan
    blocks: tuple[int, ...]
    epoch: int = 0

    def __len__(self) -> int:
        return -(-self.n // self.plan.batch_size)

    def __iter__(self) -> Iterator[Job]:
        plan, (number, of) = self.plan, self.plan.shard
        rng = generator(plan.seed, self.epoch, _ORDER)
        rows = order(self.n, rng, self.blocks) if plan.shuffle else np.arange(self.n)
        for k in range(len(self)):
            batch = rows[k * plan.batch_size : (k + 1) * plan.batch_size]
            draws = None
            if plan.augmentation:
                rng = generator(plan.seed, self.epoch, _AUGMENT, k)
                draws = rng.random((len(batch), N_DRAWS), dtype=np.float32)[number::of]
            yield Job(batch[number::of], draws)


class Task(NamedTuple):
    """What a worker needs to make a batch."""

    split: Split
    dataset: Dataset
    preparation: Preparation
    plan: Plan


class Batches:
    """job -> the batch, in a worker. A class because torch asks for one."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, job: Job) -> Made | ArithmosError:
        """The batch; an error of the user's data comes back as a value, since torch would rewrite its text."""
        try:
            made = make(self._task, job)
        except ArithmosError as problem:
            return problem
        torch = require("torch", "torch")
        return Made(torch.from_numpy(made.images), torch.from_numpy(made.labels), made.left_out)


def _as_it_is(made: Any) -> Any:
    return made


def _ignore_interrupt(_: int) -> None:
    """Ctrl-C reaches every process of the terminal; the one that trains decides what follows from it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make(task: Task, job: Job) -> Made:
    """The batch: decoded, augmented, normalised; float32 arrays. Raises UsageError as `datasets.stream`."""
    made = _decoded(task, job)
    draws = job.draws
    if draws is not None and made.left_out:
        draws = draws[[int(row) not in made.left_out for row in job.rows]]
    return Made(_finished(made.images, draws, task), made.labels, made.left_out)


def _decoded(task: Task, job: Job) -> Made:
    """uint8 pixels of the rows, without those left out."""
    split, dataset, preparation, plan = task
    resized = job.draws is not None and plan.augmentation is not None and plan.augmentation.resized
    images, labels, left_out = [], [], {}
    for k, row in enumerate(map(int, job.rows)):
        draws = job.draws[k, :-1].reshape(-1, 4) if resized and job.draws is not None else None
        try:
            images.append(picture(split, row, dataset, preparation, draws))
            labels.append(split.labels[row])
        except CorruptPicture as problem:
            if not plan.skip_corrupt:
                raise
            left_out[row] = f"{problem.where}: {problem.what}"
    side = preparation.crop or dataset.size
    empty = np.zeros((0, preparation.channels, side, side), np.uint8)
    return Made(np.stack(images) if images else empty, np.asarray(labels, np.int64), left_out)


def _finished(pixels: np.ndarray, draws: np.ndarray | None, task: Task) -> np.ndarray:
    """Augmented and normalised."""
    augmentation = task.plan.augmentation
    if augmentation and draws is not None:
        if augmentation.pad:
            pixels = shifted(pixels, augmentation.pad * pixels.shape[-1] // task.dataset.size, draws[:, :2])
        if augmentation.flip:
            pixels = flipped(pixels, draws[:, -1])
    return scale(pixels, task.preparation, task.dataset.largest)


def cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
