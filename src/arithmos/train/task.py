"""What is trained: a network, what its record says of it, and the few functions in which trainings differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from arithmos.train.loss import Loss
from arithmos.train.optimizer import Groups, decay_groups
from arithmos.train.place import Place

if TYPE_CHECKING:
    from torch import Tensor, nn


class Batches(Protocol):
    """Labelled batches that depend on the epoch alone, such as a `Loader`: (images float32 NCHW, labels int64).

    Of several processes each has its own: every world-th row of the batches that one process would have. Its n_images
    and its length are those of all of them.
    """

    @property
    def n_images(self) -> int:
        """Images of an epoch."""

    @property
    def digest(self) -> str:
        """sha256 of images and labels, as a record names them."""

    def set_epoch(self, epoch: int) -> None:
        """Choose order and augmentation of the iterations that follow."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the epoch."""


@dataclass(frozen=True, slots=True)
class Task:
    """A training's subject.

    facts: plain JSON, such as the names of model and data set; it is stored, and a resume with other facts is refused.
    loss: cross entropy of the configuration where None. score: what decides which epoch is the best, higher is better;
    top-1 on the held-out images where None. before_epoch(model, epoch from 0), after_step(model): called by the loop.
    What must survive a resume is in model.state_dict(), in tensors of fixed shapes, or follows from it.
    """

    model: nn.Module
    facts: Mapping[str, Any]
    loss: Loss | None = None
    groups: Groups = decay_groups
    score: Callable[[nn.Module, Batches, Place], float] | None = None
    before_epoch: Callable[[nn.Module, int], None] | None = None
    after_step: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to. epoch: from 1. learning_rate: of its last step. loss: mean over its images.

    accuracy: share of held-out images in [0, 1]. wall_s: seconds of the training part; images_per_s: likewise.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    wall_s: float
    images_per_s: float
