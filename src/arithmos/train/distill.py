"""Distillation: a network learns the softened answers of another, besides the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor, nn

TEMPERATURE = 4.0
SHARE = 0.9


def distillation(
    teacher: Callable[[Tensor], Tensor],
    *,
    temperature: float = TEMPERATURE,
    share: float = SHARE,
    smoothing: float = 0.0,
) -> Loss:
    """share * T**2 * KL(softmax(teacher / T) || softmax(model / T)) + (1 - share) * cross entropy, mean over the batch.

    T**2 keeps the gradient of the first term as large at every temperature. The teacher is used as it is (give it in
    eval mode, on the device of the images) and gets no gradient. smoothing: of the labels.
    Raises UsageError for a temperature that is not positive or a share outside [0, 1].
    Source: Hinton, Vinyals, Dean, arXiv:1503.02531, section 2.
    """
    if not temperature > 0 or not 0 <= share <= 1:
        raise UsageError(
            "this distillation cannot be done",
            why=f"the temperature is {temperature:g} and the share {share:g}",
            fix="give a temperature above 0 and a share from 0 to 1",
        )
    torch, functional = require("torch", "torch"), require("torch.nn.functional", "torch")

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = functional.log_softmax(teacher(images) / temperature, dim=1)
        logits = model(images)
        softened = functional.log_softmax(logits / temperature, dim=1)
        divergence = functional.kl_div(softened, wanted, log_target=True, reduction="batchmean")
        hard = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        total: Tensor = share * temperature**2 * divergence + (1 - share) * hard
        return total

    return loss
