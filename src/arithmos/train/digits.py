"""The digits network of the demonstration, trained in seconds on data that needs no download."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arithmos.train.config import Config
from arithmos.train.data.digits import digits
from arithmos.train.defaults import literature
from arithmos.train.loop import epochs, threads
from arithmos.train.memory import Arrays
from arithmos.train.task import Task

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, in eval mode, and its top-1 accuracy in [0, 1] on the images held out."""

    model: nn.Module
    accuracy: float
    n_train: int
    n_test: int


def train_digits(model: nn.Module, *, config: Config | None = None, seed: int = 0) -> Trained:
    """Train `model` in place on three quarters of scikit-learn's digits and measure it on the last quarter.

    model: takes (batch, 1, 8, 8) in [0, 1], gives 10 logits; `build("digits_cnn", seed=seed)`. config: the usual one
    for digits where None. `seed` goes before the configuration's: it fixes the split and the order. Raises MissingTool
    without torch or scikit-learn.
    """
    chosen = replace(config or literature("digits_cnn", "digits").config, seed=seed)
    data = Arrays(*digits("train", seed=seed), batch_size=chosen.batch_size, shuffle=True, seed=seed)
    held_out = Arrays(*digits("test", seed=seed), batch_size=512)
    # Operators this small gain nothing from a second thread, and 1 s became 100 s on cores that others used as well;
    # one thread also makes the weights independent of the number of cores.
    with threads(1):
        *_, last = epochs(Task(model, {}), data, held_out, chosen)
    return Trained(model, last.accuracy, data.n_images, held_out.n_images)
