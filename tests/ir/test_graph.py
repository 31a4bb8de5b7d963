"""The frozen graph: nothing of it can be changed, readers and producers are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import factories
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source, consumers, producers, spent_after
from arithmos.ir.interval import Interval


def small() -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 3), Interval(-5, 5))
    square = b.add("mul", x, x, name="square")
    y = b.add("add", square, b.constant("one", np.array([1, 2, 3])), name="y")
    return b.graph(y, square)


def test_nothing_can_be_changed() -> None:
    graph = small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.nodes = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        graph.values["x"] = graph.values["y"]  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["one"][0] = 7
    with pytest.raises(TypeError):
        graph.nodes[0].attrs["lo"] = 1  # type: ignore[index]


def test_the_callers_array_stays_his_own() -> None:
    b = Builder("int")
    array = np.array([1, 2, 3])
    b.graph(b.constant("c", array))
    array[0] = 9
    assert b.constants["c"][0] == 1


def test_producers_and_consumers() -> None:
    graph = small()
    assert {name: node.op for name, node in producers(graph).items()} == {"square": "mul", "y": "add"}
    readers = {name: [node.output for node in nodes] for name, nodes in consumers(graph).items()}
    assert readers == {"x": ["square"], "square": ["y"], "one": ["y"], "y": []}


def test_what_a_run_may_forget() -> None:
    graph = small()
    assert spent_after(graph) == {"square": ["x"], "y": ["square", "one", "y"]}
    assert spent_after(graph, keep=graph.outputs) == {"square": ["x"], "y": ["one"]}


def test_repr_and_source() -> None:
    assert repr(small()) == "<Graph[int] 2 nodes, x -> y, square>"
    assert repr(factories.float_cnn()).startswith("<Graph[float] 13 nodes, x -> fc>")
    assert [str(s) for s in (Source("a.b", "m.py:4"), Source("a.b"), Source("", "m.py:4"), Source())] == [
        "a.b (m.py:4)",
        "a.b",
        "m.py:4",
        "",
    ]
