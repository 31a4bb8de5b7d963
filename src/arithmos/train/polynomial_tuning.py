"""Fine-tuning: a network is trained with its polynomials in place, and its coefficients with it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arithmos.approx.certify import relu_bound
from arithmos.approx.composite import Composite
from arithmos.approx.odd_series import dense
from arithmos.approx.stagewise import folded, split
from arithmos.errors import RangeError, TrainingError, UsageError
from arithmos.extras import require
from arithmos.ir.check import check
from arithmos.ir.graph import Graph
from arithmos.lower.replacement import Replacement
from arithmos.lower.replacement import replace as replaced
from arithmos.train.config import Config, Optimizer
from arithmos.train.loop import Watch, epochs, steps_of
from arithmos.train.loss import Loss, cross_entropy
from arithmos.train.place import CPU, Place, moved
from arithmos.train.task import Batches, Epoch, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from arithmos.train.polynomial_network import PolynomialNetwork

CONFIG = Config(epochs=4, batch_size=64, optimizer=Optimizer("adamw", 5e-4, weight_decay=0.0, clip_norm=1.0))
"""Adam, as where networks are trained with their integers: batch norms are folded, and weights differ in size."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a fine-tuning may choose besides `Config`; raises UsageError with every bad value.

    penalty: weight of sum relu(headroom |u| / B - 1)^2, an image's average; headroom: values that are seen in training
    are kept to B / headroom, so that others find room. drift: weight of the mean square distance of the polynomials
    from what they stand for, over [-B, B] in units of B: without it they go anywhere where no image leads, and a value
    that comes there runs away. coefficient_rate: the rate of coefficients as a multiple of that
    of the weights. progressive: the share of the steps over which layers are replaced one after another; 0 is at once.
    """

    penalty: float = 30.0
    headroom: float = 1.25
    drift: float = 100.0
    coefficient_rate: float = 2.0
    progressive: float = 0.5

    def __post_init__(self) -> None:
        limits = {
            "penalty": (0, 1e9),
            "headroom": (1, 10),
            "drift": (0, 1e9),
            "coefficient_rate": (0, 1e6),
            "progressive": (0, 1),
        }
        if problems := [
            f"{name} must be a number from {low:g} to {high:g}, got {getattr(self, name)!r}"
            for name, (low, high) in limits.items()
            if not low <= getattr(self, name) <= high
        ]:
            raise UsageError(
                "this fine-tuning cannot be done",
                why="\n".join(problems),
                fix="leave a value out for its default",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """graph: the exact graph with the trained weights; replacements: the trained polynomials; net: of both.

    n_away: training images with a value that runs away, which no bound would hold; net refuses them by a RangeEscape.
    """

    graph: Graph
    replacements: Mapping[str, Replacement]
    net: Graph
    history: tuple[Epoch, ...]
    n_away: int


def fine_tuned(
    prepared: Graph,
    replacements: Mapping[str, Replacement],
    data: Batches,
    held_out: Batches,
    config: Config = CONFIG,
    *,
    tuning: Tuning = Tuning(),
    loss: Loss | None = None,
    place: Place = CPU,
    watch: Watch = lambda _, batches: batches,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Tuned:
    """Train weights, coefficients and constants of `replace(prepared, replacements)`; batch norms are folded.

    loss: cross entropy where None, see `distillation`. held_out only measures: the weights are those of the last epoch.
    Then every B is raised to headroom * max |u| over the training images where that is more, and the sup error of the
    polynomials is proven anew, as far as they still have the form that a proof is known for. Raises UsageError for a
    network that cannot be trained so or data that do not fit it, TrainingError where the loss is no number or no
    training image keeps to the intervals.
    """
    n_steps = config.epochs * steps_of(data, config, place)
    network = polynomial_network(prepared, replacements, tuning, n_steps)
    history = []
    for epoch in epochs(task_of(network, tuning, config, loss), data, held_out, config, place=place, watch=watch):
        history.append(epoch)
        report(epoch)
    network.eval()
    wide, n_away = network.widened(moved(images, place) for images, _ in data)
    if n_away == data.n_images:
        raise TrainingError(
            "the trained polynomial network runs out of its intervals",
            why=f"a value of each of the {n_away:,} training images runs away",
            fix="train longer, with a larger range penalty, from a larger margin, or with higher degrees",
        )
    found = {name: certified(replacement) for name, replacement in wide.items()}
    graph = network.graph()
    net = replaced(graph, found)
    check(net)
    return Tuned(graph, found, net, tuple(history), n_away)


def polynomial_network(
    prepared: Graph, replacements: Mapping[str, Replacement], tuning: Tuning, n_steps: int
) -> PolynomialNetwork:
    """The torch module of the polynomial network. n_steps: of the whole training. Raises UsageError."""
    require("torch", "torch")
    problem = ""
    if len(prepared.inputs) != 1 or len(prepared.outputs) != 1:
        problem = f"it has the inputs {', '.join(prepared.inputs)} and the outputs {', '.join(prepared.outputs)}"
    elif not replacements:
        problem = "it has no activation that is replaced by a polynomial"
    if problem:
        raise UsageError(
            "this network cannot be fine-tuned with polynomials",
            why=problem,
            fix="approximate it without fine-tuning",
        )
    module: Any = importlib.import_module("arithmos.train.polynomial_network")
    made: PolynomialNetwork = module.PolynomialNetwork(
        prepared, replacements, n_steps=round(tuning.progressive * n_steps), headroom=tuning.headroom
    )
    return made


def exact_network(prepared: Graph, place: Place = CPU) -> nn.Module:
    """The exact graph as a torch module that learns nothing: the teacher of `distillation`."""
    require("torch", "torch")
    module: Any = importlib.import_module("arithmos.train.polynomial_network")
    made: nn.Module = module.PolynomialNetwork(prepared, {}).eval().requires_grad_(False).to(place.device)
    return made


def task_of(network: PolynomialNetwork, tuning: Tuning, config: Config, loss: Loss | None = None) -> Task:
    """What `epochs` and `train` take: the loss with its penalty, groups of parameters, and a count of the steps."""

    def groups(_: nn.Module, chosen: Optimizer) -> list[dict[str, Any]]:
        weights = [p for p in network.weights if p.ndim > 1]
        biases = [p for p in network.weights if p.ndim <= 1]
        made = [
            {"params": weights, "weight_decay": chosen.weight_decay},
            {"params": biases, "weight_decay": chosen.weight_decay if chosen.decay_all else 0.0},
            {
                "params": [*network.coefficients, *network.offsets],
                "weight_decay": 0.0,
                "lr_scale": tuning.coefficient_rate,
            },
        ]
        return [group for group in made if group["params"]]

    def counted(_: nn.Module) -> None:
        network.get_buffer("step").add_(1)

    return Task(
        network,
        {},
        loss=penalised(loss or cross_entropy(config), network, tuning),
        groups=groups,
        after_step=counted,
    )


def penalised(loss: Loss, network: PolynomialNetwork, tuning: Tuning) -> Loss:
    """loss + penalty * the network's range penalty + drift * its drift, of the same forward pass."""

    def whole(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return loss(model, images, targets) + tuning.penalty * network.penalty + tuning.drift * network.drift

    return whole


def certified(replacement: Replacement) -> Replacement:
    """With a proven sup error, where the polynomial is a composite of odd stages that keep to their intervals.

    Stages are folded first: scales between them are a freedom in which they drift. Raises MissingTool without the
    extra `polynomials`.
    """
    if replacement.form != "relu":
        return replacement
    composite = replacement.composite
    try:
        same = Composite(tuple(dense(stage) for stage in folded(split(composite))), composite.offset)
        return replace(replacement, composite=replace(same, error=relu_bound(same)))
    except (UsageError, RangeError):  # even terms, or a stage beyond [-1, 1]: nothing is proven
        return replacement
