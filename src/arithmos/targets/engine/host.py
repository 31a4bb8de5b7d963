"""Nodes as array operations: what the kernels lack, and everything where there is no compiler.

Sums of products run as floating-point BLAS where a bound proves that no partial sum can be rounded, whatever the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import narrowest_dtype
from arithmos.ir.ops import INT
from arithmos.targets.engine.affine import magnitude

FLOATS = ((1 << 24, np.float32), (1 << 53, np.float64))
"""(bound, type): integers up to the bound, and sums of them, are exact in the type."""

BEYOND = 1 << 64
"""The bound of sums that are too large for every float."""

MOVES = frozenset({"reshape", "transpose", "slice", "pad", "concat", "max_pool", "reduce_max"})
"""Ops whose operands all fit the type of the result, because they only move or choose numbers."""

INDEXES = frozenset({"argmax", "expand", "gather"})
"""Ops that take their operands in whatever type they come."""

Product = Callable[[Node, Sequence[np.ndarray], type], np.ndarray]
"""conv, linear or matmul of float arrays in that type; another backend can be given for numpy's."""


def numpy_product(node: Node, arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    """The op's own rule on float arrays: columns and BLAS."""
    return np.asarray(INT[node.op].run(*(a.astype(dtype) for a in arrays), **node.attrs))


def run_node(graph: Graph, node: Node, arrays: Sequence[np.ndarray], product: Product = numpy_product) -> np.ndarray:
    """The node's integers, in the narrowest type of its proven range."""
    interval = graph.values[node.output].range
    assert interval is not None
    dtype, run = narrowest_dtype(interval), INT[node.op].run
    if node.op in ("conv", "linear", "matmul"):
        bound = products_bound(graph, node)
        exact = next((kind for limit, kind in FLOATS if bound <= limit), None)
        if exact is not None:
            return product(node, arrays, exact).astype(dtype)
    if node.op in MOVES:
        return np.asarray(run(*(a.astype(dtype, copy=False) for a in arrays), **node.attrs), order="C")
    if node.op in INDEXES:
        return np.asarray(run(*arrays, **node.attrs), dtype=dtype, order="C")
    if node.op == "table" and node.attrs["axis"] is None:
        index = np.subtract(arrays[0], node.attrs["offset"], dtype=np.int64)
        return np.asarray(np.take(arrays[1], index).astype(dtype, copy=False))
    return np.asarray(run(*(a.astype(np.int64) for a in arrays), **node.attrs), dtype=dtype, order="C")


def products_bound(graph: Graph, node: Node) -> int:
    """At least the largest magnitude of any partial sum: max over outputs of |b| + sum |w| * max |x|, or BEYOND."""
    ranges = [graph.values[name].range for name in node.inputs]
    magnitudes = [r.magnitude for r in ranges if r is not None]
    if node.op == "matmul":
        return magnitudes[0] * magnitudes[1] * graph.values[node.inputs[0]].shape[-1]
    if any(name not in graph.constants for name in node.inputs[1:]):
        return BEYOND
    weight, *bias = (graph.constants[name].astype(np.int64) for name in node.inputs[1:])
    rows = weight.reshape(weight.shape[0], math.prod(weight.shape[1:]))
    if magnitude(rows) * rows.shape[1] >= BEYOND >> 1:
        return BEYOND  # the sum might leave int64
    widest = int(np.abs(rows).sum(axis=1).max(initial=0))
    return widest * magnitudes[0] + sum(magnitude(b) for b in bias)
