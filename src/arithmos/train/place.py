"""Where a training runs: the device, its precision, and this process among several that train together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from arithmos.extras import require

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Place:
    """device: as torch writes it. amp: mixed precision. fabric: of Lightning Fabric, where several processes train."""

    device: str = "cpu"
    amp: bool = False
    fabric: Any = None

    @property
    def rank(self) -> int:
        """The number of this process; process 0 writes the files."""
        return int(self.fabric.global_rank) if self.fabric else 0

    @property
    def world(self) -> int:
        """How many processes train together."""
        return int(self.fabric.world_size) if self.fabric else 1


CPU = Place()


def moved(tensor: Tensor, place: Place) -> Tensor:
    """The tensor on the device, pictures with their channels last; from pinned memory without waiting for it."""
    torch = require("torch", "torch")
    kind = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
    there: Tensor = tensor.to(place.device, non_blocking=True, memory_format=kind)
    return there


def summed(tensor: Tensor, place: Place) -> Tensor:
    """The sum over all processes, the same in each."""
    if place.world == 1:
        return tensor
    total: Tensor = place.fabric.all_reduce(tensor, reduce_op="sum")
    return total


def least(tensor: Tensor, place: Place) -> Tensor:
    """The smallest over all processes, the same in each."""
    if place.world == 1:
        return tensor
    smallest: Tensor = place.fabric.all_reduce(tensor, reduce_op="min")
    return smallest


def half(place: Place) -> Any:
    """The type of mixed precision: bfloat16, whose range is float32's, where there is one, else float16; or None."""
    if not place.amp:
        return None
    torch = require("torch", "torch")
    has_bfloat16 = place.device == "cpu" or torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float16


def precision(place: Place) -> AbstractContextManager[Any]:
    """The context in which a network computes: mixed precision, or nothing."""
    kind = half(place)
    if kind is None:
        return nullcontext()
    torch = require("torch", "torch")
    context: AbstractContextManager[Any] = torch.autocast(place.device.partition(":")[0], dtype=kind)
    return context


@contextmanager
def tuned(place: Place) -> Iterator[None]:
    """cuDNN tries its algorithms once for each shape while the block runs; torch's random state is left as it was."""
    torch = require("torch", "torch")
    before, cuda = torch.backends.cudnn.benchmark, place.device != "cpu"
    torch.backends.cudnn.benchmark = cuda
    try:
        with torch.random.fork_rng(devices=[place.device] if cuda else []):
            yield
    finally:
        torch.backends.cudnn.benchmark = before


def reseed(seed: int, epoch: int, step: int, place: Place) -> None:
    """Make what is drawn in this step a function of (seed, epoch, step, rank): there is no state to restore."""
    torch = require("torch", "torch")
    value = int(np.random.SeedSequence((seed, epoch, step, place.rank)).generate_state(1, np.uint64)[0])
    torch.default_generator.manual_seed(value)
    if place.device != "cpu":
        torch.cuda.manual_seed_all(value)


def share_buffers(model: nn.Module, place: Place) -> None:
    """Give every process the buffers of process 0, so that all score the network that is stored.

    Statistics of batch norm are those of each process's own images; DistributedDataParallel evens them out before the
    next step, not after the last.
    """
    if place.world > 1:
        broadcast = require("torch.distributed", "torch").broadcast
        for buffer in model.buffers():
            broadcast(buffer, 0)


def distributed(model: nn.Module, place: Place) -> nn.Module:
    """The module whose backward pass averages gradients over all processes; the module itself where there is one."""
    if place.world == 1:
        return model
    wrapped: nn.Module = place.fabric.setup_module(model, move_to_device=False)
    return wrapped
