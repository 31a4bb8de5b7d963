"""Graphs of single ops from the examples in the op tables, and inputs for integer graphs: random and corners."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph, OpSet, Shape, Source
from arithmos.ir.interval import interval_of, narrowest_dtype, unsigned
from arithmos.ir.ops import INTEGER_ONLY, OP_SETS
from arithmos.ir.ops.op import Example
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo

INT_EXAMPLES = [(op, i) for op, row in OP_SETS["int"].items() for i in range(len(row.examples))]
"""(op, number of the example) for every example of an integer op."""

FLOAT_EXAMPLES = [(op, i) for op, row in OP_SETS["float"].items() for i in range(len(row.examples))]
"""The same for the float ops; those that exist in both sets are here too."""

assert INTEGER_ONLY.isdisjoint(OP_SETS["float"])


def with_batch(shape: Shape, n: int) -> tuple[int, ...]:
    """The shape for n samples."""
    return tuple(-extent * n if extent < 0 else extent for extent in shape)


def example_graph(op: str, example: Example, seed: int = 0, op_set: OpSet = "int") -> Graph:
    """A graph of one node; constants of the example are random integers of their range, as floats in a float graph."""
    rng = np.random.default_rng(seed)
    builder = Builder(op_set)
    names = []
    for i, operand in enumerate(example.operands):
        if operand.constant:
            array = rng.integers(operand.range.lo, operand.range.hi, operand.shape, endpoint=True)
            names.append(builder.constant(f"c{i}", array if op_set == "int" else array.astype(np.float32)))
        else:
            names.append(builder.input(f"x{i}", operand.shape, operand.range if op_set == "int" else None))
    return builder.graph(builder.add(op, *names, name="y", **example.attrs))


def corner_inputs(graph: Graph, n: int) -> Iterator[dict[str, np.ndarray]]:
    """Every input at its lowest, at its highest, and alternating between the two (both ways round)."""
    ranges = {name: graph.values[name].range for name in graph.inputs}
    for pattern in ((0, 0), (1, 1), (0, 1), (1, 0)):
        arrays = {}
        for name, interval in ranges.items():
            assert interval is not None
            shape = with_batch(graph.values[name].shape, n)
            ends = np.array([interval.lo, interval.hi])[list(pattern)]
            arrays[name] = np.resize(ends, shape).astype(narrowest_dtype(interval))
        yield arrays


def all_inputs(graph: Graph, n: int = 3) -> Iterator[dict[str, np.ndarray]]:
    """Random inputs of two seeds, then the corners."""
    yield random_inputs(graph, n, seed=1)
    yield random_inputs(graph, n, seed=2)
    yield from corner_inputs(graph, n)


def assert_in_range(graph: Graph, values: dict[str, np.ndarray]) -> None:
    """Every value lies in its proven range and has its shape for some batch."""
    for name, array in values.items():
        proven = graph.values[name].range
        assert proven is not None and interval_of(array) in proven, name


def tiny() -> Graph:
    """Every kind of scale, source, attribute and constant there is, in few nodes."""
    b = Builder("int")
    x = b.input("x", (-1, 2, 3), unsigned(8), PowerOfTwo(-8), Source("", "model.py:1"))
    w = b.constant("w", np.array([[1, -2, 3], [4, 5, -6]]), PerChannel(-2, (Dyadic(3, 9), PowerOfTwo(-7))))
    acc = b.add("linear", x, w, name="acc", scale=PerChannel(-1, (Dyadic(3, 17), PowerOfTwo(-15))), source=Source("fc"))
    mul = b.constant("mul", np.array(77))
    y = b.add("requantize", acc, mul, shift=8, lo=-127, hi=127, name="y", scale=Dyadic(5, 12))
    y = b.add("clip", y, lo=-3, hi=None, name="open")
    table = b.constant("entries", np.arange(131) ** 2 - 300)
    return b.graph(b.add("table", y, table, offset=-3, axis=None, name="z"), x)
