"""Every network of the zoo, random but alive, is the same integers on interpreter, engine, ONNX and C: every value.

Pictures are as small as the architecture takes them and classes are ten, so that all of it runs in minutes; C is left
out where its compilation would take most of that. `bench/zoo.py` does it at the registered sizes.
"""

from __future__ import annotations

import numpy as np
import pytest

import arithmos as ar
from arithmos.ir.cost import cost
from arithmos.models.registry import entry, names
from arithmos.targets.run import prepared

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from zoo_networks import alive, smallest  # noqa: E402, needs torch

COMPILED = 300_000
"""Parameters up to which C is compiled here: a compiler takes a second for a million of them, and more for code."""

QUICK = 200_000_000
"""Products up to which made inputs are compared too: corners, ties, random integers."""

SMALL = {name: {"hidden": 64} for name in names("vgg*")}
"""What keeps a network's kinds of layers and leaves out most of its weights: VGG's linear layers have 120 million."""


def test_every_architecture_is_there() -> None:
    families = {"resnet101", "vgg11", "googlenet", "inception_v3", "cifar_resnet101", "cifar_vgg11", "cifar_vgg19_bn"}
    assert families | {"resnet110", "lenet5", "mnist_mlp", "mnist_cnn"} <= set(names())


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_value_is_equal_everywhere(name: str) -> None:
    facts, size = entry(name), smallest(name)
    shape = (facts.input_shape[0], size, size)
    images = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    graph = ar.trace(alive(name, size=size, classes=10, **SMALL.get(name, {})), torch.zeros(2, *shape))
    net = ar.quantize(graph, ar.calibrate(graph, [images]))
    values = ar.run(net, images[:1], every=True)
    dead = [n.output for n in net.nodes if n.op == "requantize" and len(np.unique(values[n.output])) < 5]
    assert dead == [], "a comparison of constants says nothing"
    targets = ["engine", "onnx", *(["c"] if facts.parameters < COMPILED else [])]
    made = int(cost(net).macs < QUICK)
    del graph
    check = ar.verify(net, images[:1], targets=targets, uniform=made, corners=made, ties=made)
    prepared.cache_clear()  # else the runners of eight networks stay in memory
    assert check.ok, str(check)
    assert {row.target for row in check.rows if not row.skipped} >= {"engine"}
    assert all(row.values == row.of_values for row in check.rows if not row.skipped)
