"""A bundle of a small network, inputs for it, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from arithmos.cli.main import main
from arithmos.ir.build import Builder
from arithmos.ir.codec import save
from arithmos.ir.graph import Graph, Source
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import quantize

Arithmos = Callable[..., Result]


@pytest.fixture
def arithmos() -> Arithmos:
    """arithmos("run", bundle, …) -> the result; an exception that escapes is a failure of the test."""

    def call(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def small_network() -> Graph:
    """relu(conv) -> linear, quantized."""
    builder, rng = Builder("float"), np.random.default_rng(0)
    weight = builder.constant("conv1.weight", (rng.normal(size=(3, 1, 3, 3)) / 3).astype(np.float32))
    bias = builder.constant("conv1.bias", rng.normal(size=3).astype(np.float32))
    window = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    images = builder.input("images", (-1, 1, 4, 4))
    conv = builder.add("conv", images, weight, bias, name="conv1", source=Source("conv1", "model.py:7"), **window)
    flat = builder.add("reshape", builder.add("relu", conv, name="relu"), shape=(-1, 48), name="flat")
    weight = builder.constant("fc.weight", (rng.normal(size=(5, 48)) / 7).astype(np.float32))
    graph = builder.graph(builder.add("linear", flat, weight, name="fc", source=Source("fc", "model.py:9")))
    return quantize(graph, calibrate(graph, [rng.normal(size=(16, 1, 4, 4)).astype(np.float32)]))


@pytest.fixture(scope="session")
def net() -> Graph:
    return small_network()


@pytest.fixture
def bundle(net: Graph, tmp_path: Path) -> Path:
    return save(net, tmp_path / "net")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    file = tmp_path / "images.npy"
    np.save(file, np.random.default_rng(1).normal(size=(3, 1, 4, 4)).astype(np.float32))
    return file
