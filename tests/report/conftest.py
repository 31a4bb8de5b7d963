"""A small convolutional network with a residual join and a table: float, quantized, and samples for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize
from arithmos.lower.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Network:
    graph: Graph
    net: Graph
    recipe: Recipe
    images: np.ndarray


@pytest.fixture(scope="session")
def network() -> Network:
    rng = np.random.default_rng(0)
    graph = float_network(rng)
    images = rng.normal(size=(24, 2, 6, 6)).astype(np.float32)
    recipe = Recipe()
    return Network(graph, quantize(graph, calibrate(graph, [images[:16]]), recipe), recipe, images)


def float_network(rng: np.random.Generator) -> Graph:
    """relu(conv) -> relu(conv + shortcut) -> sigmoid(conv) -> mean pool -> linear."""
    b = Builder("float")

    def conv(x: str, name: str, n_in: int, n_out: int) -> str:
        weight = b.constant(
            f"{name}.weight", (rng.normal(size=(n_out, n_in, 3, 3)) / (3 * n_in**0.5)).astype(np.float32)
        )
        bias = b.constant(f"{name}.bias", rng.normal(size=n_out).astype(np.float32) / 4)
        window = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
        return b.add("conv", x, weight, bias, name=name, source=Source(name, "model.py:7"), **window)

    x = b.input("images", (-1, 2, 6, 6))
    first = b.add("relu", conv(x, "conv1", 2, 4), name="relu1")
    second = b.add("relu", b.add("add", conv(first, "conv2", 4, 4), first, name="join"), name="relu2")
    third = b.add("sigmoid", conv(second, "conv3", 4, 4), name="gate")
    flat = b.add("reshape", third, shape=(-1, 144), name="flat")
    weight = b.constant("fc.weight", (rng.normal(size=(5, 144)) / 12).astype(np.float32))
    return b.graph(b.add("linear", flat, weight, name="fc", source=Source("fc", "model.py:9")))
