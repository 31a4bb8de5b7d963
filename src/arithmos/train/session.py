"""A network in training with its optimizer: the state of which a checkpoint is a copy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from arithmos.errors import TrainingError
from arithmos.extras import require
from arithmos.train.config import Config
from arithmos.train.loss import cross_entropy, mixed
from arithmos.train.optimizer import make_optimizer, restore_state, set_rate, state_tensors
from arithmos.train.place import Place, distributed, half, least, moved, precision, reseed, summed
from arithmos.train.schedule import rate_of_step
from arithmos.train.task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

LOOK_EVERY = 50
"""Steps between two looks at the loss where looking waits for the device; on the CPU it is looked at every step."""
_NEVER = 1 << 62


class Session:
    """The model, the optimizer and how far they are. A class: it lives as long as a training.

    epoch: finished epochs; step: finished steps of the next; seen: its images so far in this process; total: the sum of
    their losses.
    """

    def __init__(self, task: Task, config: Config, place: Place, n_images: int, n_classes: int) -> None:
        torch = require("torch", "torch")
        self.task, self.config, self.place = task, config, place
        self.n_images, self.n_classes = n_images, n_classes
        # Channels last: 1.1 to 1.25 times as fast on CPUs (ResNet-8 and -20), more on GPUs in mixed precision.
        self.model: nn.Module = task.model.to(place.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(task.groups(self.model, config.optimizer), config.optimizer)
        kind = place.device.partition(":")[0]
        self.scaler = torch.amp.GradScaler(kind, enabled=half(place) is torch.float16)
        self.epoch = self.step = self.seen = 0
        self.wall_s = 0.0
        self.total = torch.zeros((), dtype=torch.float64, device=place.device)
        self._bad = torch.full((), _NEVER, dtype=torch.int64, device=place.device)
        self._loss = task.loss or cross_entropy(config)
        self._parallel = distributed(self.model, place)

    def run(self, batches: Iterable[tuple[Tensor, Tensor]], n_steps: int, stop: Any) -> bool:
        """The rest of the epoch; False where `stop()` became true before its end.

        Raises TrainingError with epoch and step where the loss is no number.
        """
        self.model.train()
        start, before = time.perf_counter(), self.wall_s
        every = 1 if self.place.device == "cpu" and self.place.world == 1 else LOOK_EVERY
        stopped = False
        for images, labels in islice(batches, self.step, n_steps):
            self._one(images, labels, n_steps)
            self.step += 1
            self.wall_s = before + time.perf_counter() - start
            if self.step % every == 0 and self.step < n_steps:
                self.look()
                if stopped := bool(summed(self.total.new_tensor(float(stop())), self.place)):
                    break
        self.look()
        return not stopped

    def _one(self, images: Tensor, labels: Tensor, n_steps: int) -> None:
        """One step on this process's rows of a batch."""
        config, place = self.config, self.place
        images, labels = moved(images, place), moved(labels, place)
        reseed(config.seed, self.epoch, self.step, place)
        if config.mixup:
            rng = np.random.default_rng((config.seed, self.epoch, self.step))
            images, labels = mixed(images, labels, config.mixup, self.n_classes, rng)
        with precision(place):
            loss = self._loss(self._parallel, images, labels)
        self.optimizer.zero_grad()
        self._backward(self.scaler.scale(loss if place.world == 1 else loss * self._weight(len(images))))
        if config.optimizer.clip_norm:
            self.scaler.unscale_(self.optimizer)
            require("torch.nn.utils", "torch").clip_grad_norm_(self.model.parameters(), config.optimizer.clip_norm)
        set_rate(self.optimizer, rate_of_step(config, self.epoch, self.step, n_steps))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.task.after_step:
            self.task.after_step(self.model)
        self._note(loss.detach(), len(images))

    def _weight(self, n: int) -> float:
        """Of the mean over n rows, since gradients are averaged over the processes as if all had as many rows."""
        whole = min(self.config.batch_size, self.n_images - self.step * self.config.batch_size)
        return n * self.place.world / whole

    def _backward(self, loss: Tensor) -> None:
        if self.place.fabric:
            self.place.fabric.backward(loss)
        else:
            loss.backward()  # type: ignore[no-untyped-call]

    def _note(self, loss: Tensor, n: int) -> None:
        """Add to the sum, and keep the first step without a number, without waiting for the device."""
        torch = require("torch", "torch")
        self.seen += n
        self.total += loss * n
        self._bad = torch.where(torch.isfinite(loss), self._bad, self._bad.clamp(max=self.step))

    def look(self) -> None:
        """Raise TrainingError where a loss was no number. Waits for the device."""
        bad = int(least(self._bad, self.place))
        if bad < _NEVER:
            raise diverged(self.epoch, bad, "the loss is NaN or infinite")

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.step, self.seen, self.wall_s = self.epoch + 1, 0, 0, 0.0
        self.total.zero_()

    def so_far(self) -> tuple[float, int]:
        """(the sum of the epoch's losses, its images) so far, over all processes."""
        both = summed(self.total.new_tensor([float(self.total), self.seen]), self.place).tolist()
        return both[0], int(both[1])

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint holds, by name: model/…, optimizer/…"""
        state = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        return state | {f"optimizer/{k}": t for k, t in state_tensors(self.optimizer, self.model).items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`, in place."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        self.model.load_state_dict(parts["model"])
        restore_state(self.optimizer, self.model, parts["optimizer"])


def diverged(epoch: int, step: int, what: str) -> TrainingError:
    """The error of a training that broke off; epoch and step from 0."""
    kept = (
        "the checkpoints of the last good epoch are kept" if epoch else "no epoch was finished, so no weights are kept"
    )
    return TrainingError(
        what,
        where=f"epoch {epoch + 1}, step {step + 1}",
        why="the steps became too large, or an image is not finite",
        fix=f"start anew with a smaller --learning-rate, --warmup-epochs 5 or --clip-norm 1; {kept}",
    )
