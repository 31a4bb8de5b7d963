"""What is minimised: cross entropy with smoothed labels, and mixup, which makes two images and their labels one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from arithmos.extras import require
from arithmos.train.config import Config

if TYPE_CHECKING:
    from torch import Tensor, nn

Loss = Callable[["nn.Module", "Tensor", "Tensor"], "Tensor"]
"""(model, images NCHW, targets) -> scalar, the mean over the batch; targets: int64 (n,), or float32 (n, classes)."""


def cross_entropy(config: Config) -> Loss:
    """-sum_k t_k log softmax(model(x))_k, averaged; t = (1 - e) * target + e / classes (Szegedy et al., 1512.00567).

    A network whose training output is a tuple has auxiliary heads: the loss of each further output is added, times the
    network's `auxiliary_weight` (Szegedy et al., arXiv:1409.4842, section 5).
    """
    functional, smoothing = require("torch.nn.functional", "torch"), config.label_smoothing

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        outputs = model(images)
        heads = outputs if isinstance(outputs, tuple) else (outputs,)
        values = [functional.cross_entropy(logits, targets, label_smoothing=smoothing) for logits in heads]
        total: Tensor = values[0] if len(values) == 1 else values[0] + model.auxiliary_weight * sum(values[1:])
        return total

    return loss


def mixed(
    images: Tensor, labels: Tensor, alpha: float, classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """r * x + (1 - r) * reversed(x), and the same of one-hot labels; r ~ Beta(alpha, alpha), one a batch.

    A batch is in random order already, so its reverse is as good as a permutation. Source: Zhang et al.,
    arXiv:1710.09412, eq. 1.
    """
    functional = require("torch.nn.functional", "torch")
    share = float(rng.beta(alpha, alpha))
    targets = functional.one_hot(labels, classes).to(images.dtype)
    return images.lerp(images.flip(0), 1 - share), targets.lerp(targets.flip(0), 1 - share)
