"""The interpreter: values are freed after their last reader, false ranges stop it, types are as promised."""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np
import pytest

import factories
import samples
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate, indices, interpret
from arithmos.ir.interval import Interval, signed


def chain(length: int) -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 4), signed(8))
    for i in range(length):
        x = b.add("clip", x, lo=-100 + i, hi=100, name=f"y{i}")
    return b.graph(x)


def test_values_are_freed_after_their_last_reader() -> None:
    seen: list[weakref.ref[np.ndarray]] = []
    most = 0
    for _, array in interpret(chain(30), {"x": np.zeros((2, 4), np.int8)}):
        seen.append(weakref.ref(array))
        del array
        most = max(most, sum(ref() is not None for ref in seen))
    assert len(seen) == 31 and most <= 3  # the input and the output of a node, and the one the loop still holds


def test_a_value_that_nobody_reads_is_freed_at_once() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 4), signed(8))
    for i in range(9):
        b.add("add", x, x, name=f"unread{i}")
    seen = []
    for _, array in interpret(b.graph(x), {"x": np.zeros((2, 4), np.int8)}):
        seen.append(weakref.ref(array))
        del array
        assert sum(ref() is not None for ref in seen) <= 2


def test_a_value_lives_as_long_as_somebody_reads_it() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 4), signed(8))
    y = b.add("add", x, x)
    for _ in range(5):
        y = b.add("clip", y, lo=-50, hi=50)
    graph = b.graph(b.add("sub", y, x, name="late"))
    inputs = random_inputs(graph, 3)
    wide = inputs["x"].astype(int)
    assert np.array_equal(evaluate(graph, inputs)["late"], np.clip(2 * wide, -50, 50) - wide)


def test_every_value_in_graph_order_inputs_first() -> None:
    graph = factories.residual_cnn()
    values = evaluate(graph, random_inputs(graph, 2), every=True)
    assert list(values) == [*graph.inputs, *(node.output for node in graph.nodes)]
    assert all(array.dtype == np.int64 for array in values.values())
    assert not set(values) & set(graph.constants)


def test_only_the_outputs_by_default_in_their_order() -> None:
    graph = factories.pools()
    assert list(evaluate(graph, random_inputs(graph, 1))) == list(graph.outputs) == ["both", "mean"]


def test_inputs_and_constants_can_be_outputs() -> None:
    b = Builder("int")
    x, c = b.input("x", (-1, 2), signed(4)), b.constant("c", np.array([7, -7]))
    graph = b.graph(c, x)
    values = evaluate(graph, {"x": np.array([[1, 2]])})
    assert values["c"].tolist() == [7, -7] and values["x"].tolist() == [[1, 2]]
    assert list(evaluate(graph, {"x": np.array([[1, 2]])}, every=True)) == ["x", "c"]


def test_an_integer_outside_its_proven_range_stops_the_run() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2), signed(8))
    graph = b.graph(b.add("mul", x, x, name="square"))
    false = dataclasses.replace(graph.values["square"], range=Interval(0, 99))
    lying = dataclasses.replace(graph, values={**graph.values, "square": false})
    assert evaluate(lying, {"x": np.array([[9, -9]])})["square"].tolist() == [[81, 81]]
    with pytest.raises(AssertionError, match=r"^square left its proven range \[0, 99\]: \[81, 100\]$"):
        evaluate(lying, {"x": np.array([[9, -10]])})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_float_graph_runs_in_the_type_that_was_asked_for(dtype: type) -> None:
    graph = factories.float_cnn()
    for array in evaluate(graph, {"x": factories.images(2)}, every=True, dtype=dtype).values():
        assert array.dtype == dtype


def test_integer_images_for_a_float_graph_are_numbers() -> None:
    graph = factories.float_cnn()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 12)).astype(np.uint8)
    expected = evaluate(graph, {"x": pixels.astype(np.float32)}, every=True)
    for name, array in evaluate(graph, {"x": pixels}, every=True).items():
        assert array.dtype == np.float32 and np.array_equal(array, expected[name]), name


def test_indices_of_a_float_graph_stay_integers() -> None:
    b = Builder("float")
    tokens = b.input("tokens", (-1, 4))
    cut = b.add("slice", tokens, slices=((1, 0, 1, 3),), name="cut")
    matrix = b.constant("matrix", np.arange(20, dtype=np.float32).reshape(5, 4) / 7)
    rows = b.add("gather", matrix, cut, name="rows")
    mask = b.constant("mask", np.array([1, 0, 1, 1]))
    counted = b.add("reduce_sum", tokens, axes=(1,), keepdims=False, name="counted")
    graph = b.graph(b.add("mul", rows, mask, name="y"), counted)
    assert indices(graph) == {"tokens", "cut"}
    values = evaluate(graph, {"tokens": np.array([[4, 0, 1, 3]])}, every=True)
    assert values["counted"].dtype == np.float32  # nobody looks rows up by it: it is a number like others
    assert values["cut"].dtype.kind == "i" and values["y"].dtype == np.float32
    assert np.array_equal(values["rows"][0], graph.constants["matrix"][[4, 0, 1]])


@pytest.mark.parametrize("name", factories.INTEGER)
def test_the_batch_size_does_not_matter(name: str) -> None:
    graph = factories.INTEGER[name]()
    together = random_inputs(graph, 3)
    values = evaluate(graph, together, every=True)
    for i in range(3):
        alone = evaluate(graph, {key: array[i : i + 1] for key, array in together.items()}, every=True)
        for key, array in alone.items():
            each = len(values[key]) // 3  # a folded batch has several rows a sample
            assert np.array_equal(values[key][i * each : (i + 1) * each], array), key


@pytest.mark.parametrize("name", factories.INTEGER)
def test_ranges_hold_at_the_corners(name: str) -> None:
    graph = factories.INTEGER[name]()
    for inputs in samples.all_inputs(graph):
        samples.assert_in_range(graph, evaluate(graph, inputs, every=True))


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        (np.zeros((1, 2), np.float32), "they are float32"),
        (np.array([[0, 5]]), "they span [0, 5], there are 5 rows"),
        (np.array([[0, -6]]), "they span [-6, 0], there are 5 rows"),
    ],
)
def test_what_chooses_no_rows_of_a_float_graph(chosen: np.ndarray, why: str) -> None:
    b = Builder("float")
    matrix = b.constant("matrix", np.zeros((5, 4), np.float32))
    tokens = b.input("tokens", (-1, 2))
    graph = b.graph(b.add("gather", matrix, tokens, name="rows", source=Source("embedding", "model.py:3")))
    with pytest.raises(UsageError) as caught:
        evaluate(graph, {"tokens": chosen})
    assert str(caught.value) == (
        "'tokens' does not choose rows of 'matrix'\n"
        "  at   embedding (model.py:3)\n"
        f"  why  {why}\n"
        "  fix  give integers from 0 on, each smaller than the number of rows"
    )
