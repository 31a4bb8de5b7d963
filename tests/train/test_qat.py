"""From a float graph to trained integers: what comes back, that it has learned, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import factories  # noqa: E402
from arithmos.errors import TrainingError, UsageError  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.codec import digest  # noqa: E402
from arithmos.ir.interpret import evaluate  # noqa: E402
from arithmos.ir.scale import as_float  # noqa: E402
from arithmos.lower.calibrate import calibrate  # noqa: E402
from arithmos.lower.lower import lower  # noqa: E402
from arithmos.lower.quantize import finish, quantize  # noqa: E402
from arithmos.lower.recipe import Recipe  # noqa: E402
from arithmos.targets.run import run  # noqa: E402
from arithmos.train.config import Optimizer  # noqa: E402
from arithmos.train.distill import distillation  # noqa: E402
from arithmos.train.memory import Arrays  # noqa: E402
from arithmos.train.qat import CONFIG, qat  # noqa: E402
from train.qat_networks import calibrated  # noqa: E402

RECIPE = Recipe(weight_bits=2, activation_bits=2, edge_bits=4)
RATE = replace(CONFIG, epochs=3, batch_size=16, optimizer=replace(CONFIG.optimizer, learning_rate=5e-3))


def pictures(n: int, seed: int) -> Arrays:
    """Images whose label is their brightest colour."""
    images = factories.images(n, seed)
    return Arrays(images, images.mean(axis=(2, 3)).argmax(axis=1), batch_size=16, shuffle=True)


def mismatch(graph: Any, net: Any, images: np.ndarray) -> float:
    """Mean squared difference of the real logits of both networks."""
    real = evaluate(graph, {"x": images})[graph.outputs[0]]
    scale = net.values[net.outputs[0]].scale
    return float(np.mean((run(net, images) * as_float(scale) - real) ** 2))


@pytest.mark.slow
def test_labels_are_learned() -> None:
    graph, stats = calibrated("residual")
    seen = []
    longer = replace(RATE, epochs=6, optimizer=replace(CONFIG.optimizer, learning_rate=1e-2))
    recipe = Recipe(weight_bits=4, activation_bits=4)
    result = qat(graph, stats, recipe, pictures(320, 3), pictures(64, 4), longer, report=seen.append)
    assert tuple(seen) == result.history and [e.epoch for e in seen] == [1, 2, 3, 4, 5, 6]
    held_out = factories.images(64, 4)
    labels = held_out.mean(axis=(2, 3)).argmax(axis=1)
    share = float((run(result.net, held_out, target="engine").argmax(axis=1) == labels).mean())
    assert share == seen[-1].accuracy > 0.5, "the last epoch's accuracy is that of the integers"
    assert seen[-1].loss < 0.6 * seen[0].loss
    assert digest(finish(lower(result.graph, result.choice, recipe).net, graph)) == digest(result.net)


@pytest.mark.slow
def test_distillation_brings_the_integers_near_the_floats() -> None:
    graph, stats = calibrated("residual")

    def teacher(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(evaluate(graph, {"x": images.numpy()})[graph.outputs[0]])

    loss = distillation(teacher, share=1.0)
    result = qat(graph, stats, RECIPE, pictures(160, 3), pictures(16, 4), RATE, loss=loss)
    images = factories.images(64, 6)
    assert mismatch(graph, result.net, images) < 0.5 * mismatch(graph, quantize(graph, stats, RECIPE), images)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_integers() -> None:
    graph, stats = calibrated("branches")
    short = replace(RATE, epochs=1)
    one, two = (qat(graph, stats, RECIPE, pictures(48, 3), pictures(16, 4), short).net for _ in range(2))
    assert digest(one) == digest(two)


def test_what_diverges_is_said() -> None:
    graph, stats = calibrated("residual")
    wild = replace(RATE, optimizer=Optimizer("sgd", 1e30))
    with pytest.raises(TrainingError):
        qat(graph, stats, RECIPE, pictures(32, 3), pictures(16, 4), wild)


def test_several_outputs_are_refused() -> None:
    b = Builder("float")
    x = b.input("x", (-1, 3))
    graph = b.graph(b.add("relu", x, name="one"), b.add("abs", x, name="two"))
    stats = calibrate(graph, [np.ones((4, 3), dtype=np.float32)])
    with pytest.raises(UsageError) as refused:
        qat(graph, stats, RECIPE, pictures(16, 3), pictures(16, 4))
    assert str(refused.value) == (
        "only a network of one input and one output is trained with its quantization\n"
        "  why  this one has the inputs x and the outputs one, two\n"
        "  fix  quantize it without --qat"
    )


def test_a_network_without_weights_is_refused() -> None:
    b = Builder("float")
    graph = b.graph(b.add("relu", b.input("x", (-1, 3)), name="y"))
    stats = calibrate(graph, [np.ones((4, 3), dtype=np.float32)])
    with pytest.raises(UsageError) as refused:
        qat(graph, stats, RECIPE, pictures(16, 3), pictures(16, 4))
    assert str(refused.value) == (
        "there is nothing to train\n"
        "  why  no integer constant of this network is a rounded weight or bias\n"
        "  fix  quantize it without --qat"
    )
