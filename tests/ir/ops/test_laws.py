"""Laws of every op, generated from the op tables: an op without examples is untested, so there is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import samples
from arithmos.ir.build import Builder
from arithmos.ir.check import problems_of
from arithmos.ir.codec import decode, encode, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import interval_of
from arithmos.ir.ops import ALL, FLOAT, INT, INTEGER_ONLY
from arithmos.ir.ops.op import Example

int_examples = pytest.mark.parametrize(("op", "number"), samples.INT_EXAMPLES)
float_examples = pytest.mark.parametrize(("op", "number"), samples.FLOAT_EXAMPLES)


def graph_of(op: str, number: int) -> Graph:
    return samples.example_graph(op, INT[op].examples[number], seed=number)


def float_inputs(graph: Graph, example: Example, n: int, dtype: type) -> dict[str, np.ndarray]:
    """Random floats of the operands' ranges; indices are integers."""
    rng = np.random.default_rng(3)
    arrays = {}
    for i, operand in enumerate(example.operands):
        if not operand.constant:
            shape = samples.with_batch(operand.shape, n)
            drawn = rng.uniform(operand.range.lo, operand.range.hi, shape).astype(dtype)
            arrays[f"x{i}"] = np.floor(drawn).astype(np.int64) if graph.nodes[0].op == "gather" else drawn
    return arrays


def test_the_tables() -> None:
    assert all(row.examples for row in ALL.values())
    assert set(INT) | set(FLOAT) == set(ALL) and len(INT) == 26
    assert set(INT) - set(FLOAT) == INTEGER_ONLY
    assert all(row.bound is not None for row in INT.values())


@int_examples
@pytest.mark.parametrize("n", [1, 3])
def test_the_shape_is_the_inferred_one(op: str, number: int, n: int) -> None:
    graph = graph_of(op, number)
    y = evaluate(graph, random_inputs(graph, n))["y"]
    assert y.shape == samples.with_batch(graph.values["y"].shape, n)
    assert y.dtype == np.int64


@int_examples
def test_results_stay_in_the_bound(op: str, number: int) -> None:
    graph = graph_of(op, number)
    for inputs in samples.all_inputs(graph):
        samples.assert_in_range(graph, evaluate(graph, inputs, every=True))


@int_examples
def test_inputs_are_not_changed(op: str, number: int) -> None:
    graph = graph_of(op, number)
    inputs = {name: array.astype(np.int64) for name, array in random_inputs(graph, 2).items()}
    copies = {name: array.copy() for name, array in inputs.items()}
    evaluate(graph, inputs)
    assert all(np.array_equal(inputs[name], copies[name]) for name in inputs)


@int_examples
def test_check_and_codec_know_the_op(op: str, number: int) -> None:
    graph = graph_of(op, number)
    assert problems_of(graph) == []
    assert encode(decode(encode(graph), graph.constants)) == encode(graph)


@int_examples
def test_a_bound_of_a_smaller_range_is_inside(op: str, number: int) -> None:
    """Ranges are monotone: what a pass narrows, stays proven further down."""
    example = INT[op].examples[number]
    graph = graph_of(op, number)
    narrowed = []
    for operand in example.operands:
        quarter = (operand.range.hi - operand.range.lo) // 4
        inner = dataclasses.replace(operand.range, lo=operand.range.lo + quarter, hi=operand.range.hi - quarter)
        narrowed.append(operand if operand.constant else dataclasses.replace(operand, range=inner))
    smaller = samples.example_graph(op, dataclasses.replace(example, operands=tuple(narrowed)), seed=number)
    small, large = smaller.values["y"].range, graph.values["y"].range
    assert small is not None and large is not None and small in large


@float_examples
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_shapes_and_types(op: str, number: int, dtype: type) -> None:
    example = FLOAT[op].examples[number]
    graph = samples.example_graph(op, example, seed=number, op_set="float")
    for n in (1, 3):
        y = evaluate(graph, float_inputs(graph, example, n, dtype), dtype=dtype)["y"]
        assert y.shape == samples.with_batch(graph.values["y"].shape, n)
        assert y.dtype == (np.int64 if op == "argmax" else dtype)
        assert np.isfinite(y).all()


@pytest.mark.parametrize(("op", "number"), [e for e in samples.FLOAT_EXAMPLES if e[0] in INT])
def test_floats_and_integers_agree_on_integers(op: str, number: int) -> None:
    """Ops of both sets are one formula: on integers that float64 holds they give the same numbers."""
    example = INT[op].examples[number]
    graph = graph_of(op, number)
    inputs = random_inputs(graph, 2)
    names = []
    b = Builder("float")
    for i, operand in enumerate(example.operands):
        if operand.constant:
            names.append(b.constant(f"c{i}", graph.constants[f"c{i}"].astype(np.float64)))
        else:
            names.append(b.input(f"x{i}", operand.shape))
    real = b.graph(b.add(op, *names, name="y", **example.attrs))
    assert np.array_equal(evaluate(real, inputs, dtype=np.float64)["y"], evaluate(graph, inputs)["y"])


@int_examples
def test_the_bound_is_not_absurd(op: str, number: int) -> None:
    """The proven width is at most 6 bits more than what random and corner inputs reach: no bound is a shrug."""
    graph = graph_of(op, number)
    reached = [interval_of(evaluate(graph, inputs)["y"]) for inputs in samples.all_inputs(graph, 8)]
    proven = graph.values["y"].range
    assert proven is not None and proven.bits <= max(r.bits for r in reached) + 6
