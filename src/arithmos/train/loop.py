"""The training loop, the files it leaves, and the measure it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.config import Config
from arithmos.train.interruption import noticed
from arithmos.train.log import Report
from arithmos.train.place import CPU, Place, moved, precision, share_buffers, summed, tuned
from arithmos.train.run_folder import opened
from arithmos.train.schedule import rate_of_step
from arithmos.train.session import Session, diverged
from arithmos.train.task import Batches, Epoch, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Watch = Callable[[int, Iterable[Any]], Iterable[Any]]
"""(epoch from 1, its batches) -> the batches: for a progress bar."""


@dataclass(frozen=True, slots=True)
class Result:
    """A run: its folder, its epochs, the best of them (None where none is finished), and whether it is at its end."""

    out: Path
    history: tuple[Epoch, ...]
    best: Epoch | None
    finished: bool


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let torch use `n_threads` inside an operator while the block runs."""
    torch = require("torch", "torch")
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    task: Task,
    data: Batches,
    held_out: Batches,
    config: Config,
    out: Path,
    *,
    place: Place = CPU,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda _, batches: batches,
    reports: Sequence[Report] = (),
) -> Result:
    """Train task.model in place; write best, last and resumable checkpoints, the record and metrics.csv into `out`.

    The same arguments on the same machine and number of threads give the same bits, interrupted and resumed or not.
    Ctrl-C ends it after the step that runs, with a checkpoint: Result.finished is then False. The model is left in
    eval mode with the weights of the last epoch. Raises UsageError for data that cannot be trained on, an `out` that
    exists (see force) or has nothing to resume, and for a resume with another configuration, task or data, which lists
    what differs; TrainingError where the loss is no number: the checkpoints of the last good epoch stay.
    """
    n_classes = check(task, data, held_out, config, place)
    folder = opened(out, task, (data, held_out), config, place, resume=resume, force=force)
    history = list(folder.history)
    with tuned(place), noticed() as stop:
        session = Session(task, config, place, data.n_images, n_classes)
        folder.restore(session)
        for epoch in _epochs(session, data, held_out, stop, watch):
            history.append(epoch)
            folder.keep(session, history)
            for report in reports if place.rank == 0 else ():
                report(epoch)
        finished = session.epoch == config.epochs
        if not finished:
            folder.keep(session, history)
    session.model.eval()
    return Result(out, tuple(history), best_of(history), finished)


def epochs(
    task: Task,
    data: Batches,
    held_out: Batches,
    config: Config,
    *,
    place: Place = CPU,
    watch: Watch = lambda _, batches: batches,
) -> Iterator[Epoch]:
    """The bare loop: train task.model in place and yield every epoch; no files, no resume, Ctrl-C at once.

    Between epochs the model is in eval mode. Errors as in `train`.
    """
    n_classes = check(task, data, held_out, config, place)
    with tuned(place):
        session = Session(task, config, place, data.n_images, n_classes)
        yield from _epochs(session, data, held_out, lambda: False, watch)


def _epochs(
    session: Session, data: Batches, held_out: Batches, stop: Callable[[], bool], watch: Watch
) -> Iterator[Epoch]:
    """The epochs that are left, until `stop()`."""
    config, place, task = session.config, session.place, session.task
    n_steps = steps_of(data, config, place)
    score = task.score or (lambda model, batches, where: accuracy(model, batches, place=where))
    while session.epoch < config.epochs:
        if task.before_epoch:
            task.before_epoch(session.model, session.epoch)
        data.set_epoch(session.epoch)
        if not session.run(watch(session.epoch + 1, data), n_steps, stop):
            return
        total, n_images = session.so_far()
        session.model.eval()
        share_buffers(session.model, place)
        _check_parameters(session)
        epoch = Epoch(
            epoch=session.epoch + 1,
            learning_rate=rate_of_step(config, session.epoch, n_steps - 1, n_steps),
            loss=total / n_images,
            accuracy=score(session.model, held_out, place),
            wall_s=round(session.wall_s, 3),
            images_per_s=round(n_images / max(session.wall_s, 1e-9), 1),
        )
        session.next_epoch()
        yield epoch
        if stop():
            return


def accuracy(model: nn.Module, batches: Iterable[tuple[Any, Any]], *, place: Place = CPU) -> float:
    """Top-1: the share of images, in [0, 1], whose largest logit is their label; ties go to the lower class.

    batches: (images float32, labels), arrays or tensors, streamed; of several processes each scores its own, and all
    get the share of all. The device is waited for once, at the end. The model is used as it is: give it in eval mode.
    """
    torch = require("torch", "torch")
    counts = torch.zeros(2, dtype=torch.float64, device=place.device)
    with torch.inference_mode(), precision(place):
        for images, labels in batches:
            mine = [moved(_tensor(part), place) for part in (images, labels)]
            counts[0] += (model(mine[0]).argmax(dim=1) == mine[1]).sum()
            counts[1] += len(mine[1])
    n_right, n_images = summed(counts, place).tolist()
    return float(n_right / n_images)


def _tensor(part: Any) -> Tensor:
    made: Tensor = require("torch", "torch").as_tensor(
        np.ascontiguousarray(part) if isinstance(part, np.ndarray) else part
    )
    return made


def best_of(history: Sequence[Epoch]) -> Epoch | None:
    """The epoch of the highest accuracy, the first of equals."""
    return max(history, key=lambda epoch: epoch.accuracy, default=None)


def steps_of(data: Batches, config: Config, place: Place) -> int:
    """Steps of an epoch. A last batch of a single image a process is left out: batch norm cannot use it."""
    rest = data.n_images % config.batch_size
    left_out = rest and rest < min(2 * place.world, config.batch_size) and len(data) > 1
    return len(data) - 1 if left_out else len(data)


def check(task: Task, data: Batches, held_out: Batches, config: Config, place: Place) -> int:
    """The number of classes the network gives. Raises UsageError where data, network and configuration do not fit."""
    torch = require("torch", "torch")
    for name, batches in (("training", data), ("held-out", held_out)):
        if not batches.n_images:
            raise UsageError(
                f"there are no {name} images",
                why="the split is empty, or nothing of it could be read",
                fix="check --data-dir",
            )
    if config.batch_size > data.n_images:
        raise UsageError(
            f"the batch size is {config.batch_size:,} and there are {data.n_images:,} training images",
            why="a step is taken on a whole batch",
            fix=f"give --batch-size {data.n_images} or less",
        )
    if config.batch_size < 2 * place.world and place.world > 1:
        raise UsageError(
            f"the batch size is {config.batch_size} and there are {place.world} processes",
            why="each takes its share of a batch, at least two images",
            fix=f"give --batch-size {2 * place.world} or more, or fewer --devices",
        )
    images, labels = next(iter(held_out))
    training = task.model.training
    task.model.to(place.device).eval()
    try:
        with torch.inference_mode():
            given = task.model(moved(images[:1], place))
    except (RuntimeError, ValueError, TypeError) as problem:
        shape = "x".join(map(str, images[:1].shape))
        raise UsageError(
            "the network does not take these images",
            why=f"on an input of shape {shape} it raises: {str(problem).splitlines()[0]}",
            fix="choose a network that was made for this data set, or another data set",
        ) from problem
    task.model.train(training)
    extents = tuple(map(int, given.shape)) if isinstance(given, torch.Tensor) else ()
    if len(extents) != 2:
        raise UsageError(
            "the network gives no logits",
            why="its output is " + (f"of shape {'x'.join(map(str, extents))}" if extents else type(given).__name__),
            fix="return one tensor, (batch, classes)",
        )
    if int(labels.max()) >= extents[1]:
        raise UsageError(
            f"the network gives {extents[1]} classes and a label is {int(labels.max())}",
            why="labels count from 0 and each is a column of the output",
            fix="give the network as many classes as the data has",
        )
    return extents[1]


def _check_parameters(session: Session) -> None:
    """A loss that was a number still may leave weights that are none; they must not become the last good ones."""
    torch = require("torch", "torch")
    norms = torch.stack([p.detach().double().norm() for p in session.model.parameters()])
    if not bool(torch.isfinite(norms).all()):
        raise diverged(session.epoch, session.step - 1, "a weight is NaN or infinite")
