"""A small network by zkCNN's recipe, and the images it was calibrated on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import arithmos as ar
from arithmos.ir.graph import Graph

RECIPE = ar.Recipe(scales="power_of_two", weight_scale="tensor", activation_observer="zkcnn")


@dataclass(frozen=True)
class Small:
    """The integer network and the image that its steps were chosen for; `others` have other shifts."""

    net: Graph
    image: np.ndarray
    others: np.ndarray


@cache
def traced(pool_first: bool = False) -> Graph:
    """The float graph of `layers`."""
    return ar.trace(layers(pool_first), torch.zeros(1, 2, 8, 8))


def layers(pool_first: bool = False) -> nn.Sequential:
    """Two convolutions, one with a pool, and two fully connected layers, one without a bias; 2 x 8 x 8 pictures."""
    torch.manual_seed(3)
    middle = (nn.MaxPool2d(2), nn.ReLU()) if pool_first else (nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        *middle,
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 5, bias=False),
        nn.ReLU(),
        nn.Linear(5, 3),
    ).eval()


def quantized(image: np.ndarray, recipe: ar.Recipe = RECIPE, graph: Graph | None = None) -> Graph:
    """The integer network with the steps for one image."""
    float_graph = traced() if graph is None else graph
    return ar.quantize(float_graph, ar.calibrate(float_graph, [image]), recipe)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Real pixels of both signs."""
    return np.random.default_rng(seed).standard_normal((n, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def small() -> Small:
    """`layers`, calibrated on one picture."""
    image, others = pictures(1), np.concatenate([pictures(1, 1) * 8, pictures(1, 2) / 9])
    return Small(quantized(image), image, others)
