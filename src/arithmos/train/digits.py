"""The digits network of the demonstration, trained in seconds on data that needs no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arithmos.train.data.digits import digits
from arithmos.train.loop import Schedule, accuracy, fit, threads

if TYPE_CHECKING:
    from torch import nn


SCHEDULE = Schedule()


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, in eval mode, and its top-1 accuracy in [0, 1] on the images held out."""

    model: nn.Module
    accuracy: float
    n_train: int
    n_test: int


def train_digits(model: nn.Module, *, schedule: Schedule = SCHEDULE, seed: int = 0) -> Trained:
    """Train `model` in place on three quarters of scikit-learn's digits and measure it on the last quarter.

    model: takes (batch, 1, 8, 8) in [0, 1], gives 10 logits; `build("digits_cnn")`. Its initial weights do not matter:
    they are drawn from `seed`, like the split and the order. Raises MissingTool without torch or scikit-learn.
    """
    images, labels = digits("train", seed=seed)
    held_out = digits("test", seed=seed)
    # Operators this small gain nothing from a second thread, and 1 s became 100 s on cores that others used as well;
    # one thread also makes the weights independent of the number of cores.
    with threads(1):
        fit(model, images, labels, schedule=schedule, seed=seed)
        top1 = accuracy(model, [held_out])
    return Trained(model, top1, len(images), len(held_out[0]))
