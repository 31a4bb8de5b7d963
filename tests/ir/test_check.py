"""The checker: every kind of broken promise is found, and all of them at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import factories
import samples
from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.check import check, problems_of
from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval, signed
from arithmos.ir.ops import OP_SETS


def sound() -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(8))
    w = b.constant("w", np.array([[1, -2, 3], [4, 5, -6]]))
    acc = b.add("linear", x, w, name="acc")
    return b.graph(b.add("requantize", acc, shift=2, lo=-127, hi=127, name="y"))


def value(graph: Graph, name: str, **changes: Any) -> Graph:
    return dataclasses.replace(graph, values={**graph.values, name: dataclasses.replace(graph.values[name], **changes)})


def nodes(graph: Graph, *nodes: Node) -> Graph:
    return dataclasses.replace(graph, nodes=nodes)


ACC = Node("linear", ("x", "w"), "acc")
Y = Node("requantize", ("acc",), "y", {"shift": 2, "lo": -127, "hi": 127})


def constant(array: np.ndarray) -> Graph:
    return dataclasses.replace(sound(), constants={"w": array})


BROKEN: dict[str, tuple[Graph, str]] = {
    "range of a node": (
        value(sound(), "acc", range=signed(8)),
        "'acc' is proven to be in [-1914, 1911], its entry says [-128, 127]",
    ),
    "shape of a node": (value(sound(), "acc", shape=(-1, 3)), "'acc' has shape (-1, 2), its entry says (-1, 3)"),
    "no range": (value(sound(), "acc", range=None), "'acc' is proven to be in [-1914, 1911], its entry says None"),
    "input without a range": (value(sound(), "x", range=None), "input 'x' has the range None in a int graph"),
    "input beyond int64": (value(sound(), "x", range=signed(65)), "input 'x' needs 65 bits, int64 has 64"),
    "constant's range": (
        value(sound(), "w", range=signed(8)),
        "constant 'w' spans [-6, 5], its entry says [-128, 127]",
    ),
    "constant's shape": (value(sound(), "w", shape=(3, 2)), "constant 'w' has shape (2, 3), its entry says (3, 2)"),
    "constant's type": (
        constant(np.array([[1, -2, 3], [4, 5, -6]])),
        "constant 'w' holds int64, its narrowest type is int8",
    ),
    "float constant": (constant(np.array([[1.5, -2, 3], [4, 5, -6]])), "constant 'w' holds float64, not integers"),
    "huge constant": (
        constant(np.full((2, 3), 1 << 63, dtype=np.uint64)),
        "constant 'w' needs 65 bits, int64 has 64",
    ),
    "unknown op": (nodes(sound(), Node("softmax", ("x",), "acc"), Y), "'acc': op 'softmax' is not one of the int ops"),
    "order": (nodes(sound(), Y, ACC), "'y' reads ['acc'] before they are computed"),
    "unknown input": (
        nodes(sound(), Node("linear", ("x", "v"), "acc"), Y),
        "'acc' reads ['v'] before they are computed",
    ),
    "defined twice": (nodes(sound(), ACC, ACC, Y), "'acc' is defined twice"),
    "redefined input": (dataclasses.replace(sound(), inputs=("x", "x")), "'x' is defined twice"),
    "no value entry": (nodes(sound(), ACC, Y, Node("isqrt", ("acc",), "z")), "'z' is without a value entry"),
    "missing input entry": (dataclasses.replace(sound(), inputs=("x", "t")), "'t' has no value entry"),
    "output": (dataclasses.replace(sound(), outputs=("z",)), "output 'z' is not computed"),
    "left over": (nodes(sound(), ACC), "value 'y' belongs to no node, input or constant"),
    "attribute": (
        nodes(sound(), ACC, Node("requantize", ("acc",), "y", {"shift": 2.0, "lo": 0, "hi": 1})),
        "'y': attribute shift must be made of plain integers, got 2.0",
    ),
    "attribute missing": (
        nodes(sound(), ACC, Node("requantize", ("acc",), "y", {"lo": 0, "hi": 1})),
        "'y': _requantize_infer() missing 1 required keyword-only argument: 'shift'",
    ),
    "too many inputs": (nodes(sound(), Node("linear", ("x", "w", "x", "w"), "acc"), Y), "'acc': _linear_infer() takes"),
    "op set": (dataclasses.replace(sound(), op_set="table"), "there is no op set 'table', there are float, int, poly"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", BROKEN)
def test_every_kind_of_broken_promise_is_found(kind: str) -> None:
    graph, message = BROKEN[kind]
    assert any(problem.startswith(message) for problem in problems_of(graph)), problems_of(graph)
    with pytest.raises(ArithmosError):
        check(graph)


def test_all_are_listed_at_once() -> None:
    graph = value(value(sound(), "acc", range=signed(8)), "w", shape=(3, 2))
    with pytest.raises(ArithmosError) as caught:
        check(dataclasses.replace(graph, outputs=("y", "z")))
    assert str(caught.value) == (
        "the graph breaks 4 of its promises\n"
        "  why  constant 'w' has shape (2, 3), its entry says (3, 2)\n"
        "       'acc': input (-1, 3) ends in (3,), weight (3, 2) takes (2,)\n"
        "       'y' is proven to be in [-32, 32], its entry says [-127, 127]\n"
        "       output 'z' is not computed\n"
        "  fix  make the graph again from the network; if arithmos wrote it so, this is a defect of arithmos"
    )


def test_a_long_list_is_cut() -> None:
    graph = dataclasses.replace(sound(), outputs=tuple(f"z{i}" for i in range(20)))
    with pytest.raises(ArithmosError) as caught:
        check(graph)
    assert str(caught.value).count("is not computed") == 12 and caught.value.why.endswith("…")
    assert caught.value.what == "the graph breaks 20 of its promises"


def test_a_value_beyond_int64_is_found_though_its_entry_agrees() -> None:
    graph = sound()
    wide = value(value(graph, "x", range=signed(63)), "acc", range=Interval(-(1 << 70), 1 << 70))
    assert any(problem.startswith("'acc' needs ") for problem in problems_of(wide))


def test_a_range_beyond_int64_inside_requantize_is_found() -> None:
    node = Node("requantize", ("x",), "y", {"shift": 1, "lo": 0, "hi": 1})
    assert any("requantize needs 65 bits" in p for p in problems_of(nodes(value(sound(), "x", range=signed(64)), node)))


# Attributes of a foreign file may be anything JSON has: whatever they are, the checker answers, it never falls over.
JUNK: tuple[object, ...] = (None, -7, 0, 10**30, "x", 1.5, (), (1,), ((1, 2),), ((0, 0), (1,)), (("a",),), (None, None))


@pytest.mark.parametrize("op", OP_SETS["int"])
def test_junk_attributes_and_shapes_never_escape(op: str) -> None:
    for i, example in enumerate(OP_SETS["int"][op].examples):
        graph = samples.example_graph(op, example, seed=i)
        assert problems_of(graph) == []
        node = graph.nodes[0]
        for key in node.attrs:
            for junk in JUNK:
                broken = nodes(graph, Node(op, node.inputs, "y", {**node.attrs, key: junk}))
                assert all(isinstance(problem, str) for problem in problems_of(broken))
        for name in node.inputs:
            for shape in ((), (-1,), (3,), (-1, 3, 4, 5, 6), (0, 3), (-2, 3)):
                assert all(isinstance(problem, str) for problem in problems_of(value(graph, name, shape=shape)))


@pytest.mark.parametrize("name", factories.INTEGER)
def test_the_factories_are_sound(name: str) -> None:
    check(factories.INTEGER[name]())


def test_a_float_graph_is_checked_too() -> None:
    check(factories.float_cnn())
    assert problems_of(value(factories.float_cnn(), "fc", shape=(-1, 9))) == [
        "'fc' has shape (-1, 10), its entry says (-1, 9)"
    ]
    assert problems_of(value(factories.float_cnn(), "relu", range=signed(8))) == [
        "'relu' is proven to be in None, its entry says [-128, 127]"
    ]
