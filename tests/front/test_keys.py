"""Outputs that forward returns in a dictionary are found under their keys."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from arithmos.ir.graph import Graph
from arithmos.targets.run import run

torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")

from torch import Tensor, nn  # noqa: E402

from arithmos.front.trace import trace  # noqa: E402


class Returns(nn.Module):
    """Returns what it is told to make of its input."""

    def __init__(self, make: object) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> object:
        return self.make(x)


def traced(make: object) -> Graph:
    return trace(Returns(make).eval(), torch.zeros(1, 4))


def test_keys_are_names() -> None:
    graph = traced(lambda x: {"logits": x * 2, "deep": {"aux": x + 1}, "none": None, "list": [x * 3]})
    assert graph.outputs == ("logits", "deep.aux", "list.0")
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    results = run(graph, x)
    assert list(results) == ["logits", "deep.aux", "list.0"]
    assert np.array_equal(results["deep.aux"], x + 1)


def test_results_without_keys_are_named_as_values_are() -> None:
    assert traced(lambda x: (x * 2, [x + 1])).outputs == ("mul", "add")
    assert traced(lambda x: x * 2).outputs == ("mul",)


def test_subclasses_of_dict_have_keys_too() -> None:
    assert traced(lambda x: OrderedDict(b=x * 2, a=x + 1)).outputs == ("b", "a")


def test_inputs_values_under_two_keys_and_taken_names_keep_what_they_are_called() -> None:
    def make(x: Tensor) -> dict[str, Tensor]:
        doubled = x * 2
        return {"x_again": x, "once": doubled, "twice": doubled, "add": torch.relu(x + 1)}

    graph = traced(make)
    assert graph.outputs == ("x", "once", "once", "relu")  # "add" is the name of what relu reads
    assert [node.output for node in graph.nodes] == ["once", "add", "relu"]
