"""Quantization-aware training: a float graph and its statistics -> trained weights and steps, and their network."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.ir.graph import Graph
from arithmos.lower.calibrate import Stats
from arithmos.lower.choice import Choice
from arithmos.lower.quantize import decide, finish
from arithmos.lower.recipe import Recipe
from arithmos.train.config import Config, Optimizer
from arithmos.train.loop import Watch, epochs
from arithmos.train.loss import Loss
from arithmos.train.place import CPU, Place
from arithmos.train.task import Batches, Epoch, Task

if TYPE_CHECKING:
    from torch import nn

    from arithmos.train.quantized_network import QuantizedNetwork

CONFIG = Config(epochs=10, batch_size=64, optimizer=Optimizer("adamw", 2e-4, weight_decay=0.0))
"""Adam, because batch norms are folded: rates at which SGD moves the small weights make the large ones diverge."""

STEP_RATE = 5.0
"""The rate of the steps' exponents as a multiple of that of the weights: 0.001 is a change of a step by 0.07 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """graph: the prepared float graph with the trained weights. choice: the steps. net: their integer network."""

    graph: Graph
    choice: Choice
    net: Graph
    history: tuple[Epoch, ...]


def qat(
    graph: Graph,
    stats: Stats,
    recipe: Recipe,
    data: Batches,
    held_out: Batches,
    config: Config = CONFIG,
    *,
    loss: Loss | None = None,
    place: Place = CPU,
    watch: Watch = lambda _, batches: batches,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train weights, biases and steps of the integer network that `quantize(graph, stats, recipe)` makes.

    graph: a float classifier of one input and one output; batch norms are folded before the training. loss: cross
    entropy where None, see `distillation`. held_out only measures: the weights are those of the last epoch. At the end
    the forward pass that was trained *is* the network, on every value: `lower(graph, choice, recipe)` after `finish`.
    Raises UsageError for a network that cannot be trained so or data that do not fit it, UnsupportedNetwork like
    `quantize`, TrainingError where the loss is no number.
    """
    network = quantized_network(graph, stats, recipe)
    history = []
    task = Task(network, {}, loss=loss, groups=groups)
    for epoch in epochs(task, data, held_out, config, place=place, watch=watch):
        history.append(epoch)
        report(epoch)
    network.eval()
    return Trained(network.graph(), network.choice(), finish(network.lowered.net, graph), tuple(history))


def quantized_network(graph: Graph, stats: Stats, recipe: Recipe) -> QuantizedNetwork:
    """The torch module of the integer network, as `quantize` makes it. Raises UsageError for what cannot be trained."""
    require("torch", "torch")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UsageError(
            "only a network of one input and one output is trained with its quantization",
            why=f"this one has the inputs {', '.join(graph.inputs)} and the outputs {', '.join(graph.outputs)}",
            fix="quantize it without --qat",
        )
    module: Any = importlib.import_module("arithmos.train.quantized_network")
    made: QuantizedNetwork = module.QuantizedNetwork(*decide(graph, stats, recipe), recipe)
    if not len(made.weights):
        raise UsageError(
            "there is nothing to train",
            why="no integer constant of this network is a rounded weight or bias",
            fix="quantize it without --qat",
        )
    return made


def groups(model: nn.Module, chosen: Optimizer) -> list[dict[str, Any]]:
    """Weights, which alone decay (biases too with decay_all), and steps at STEP_RATE times their rate."""
    network: Any = model
    weights = [p for p in network.weights if p.ndim > 1]
    biases = [p for p in network.weights if p.ndim <= 1]
    made = [
        {"params": weights, "weight_decay": chosen.weight_decay},
        {"params": biases, "weight_decay": chosen.weight_decay if chosen.decay_all else 0.0},
        {"params": list(network.exponents), "weight_decay": 0.0, "lr_scale": STEP_RATE},
    ]
    return [group for group in made if group["params"]]
