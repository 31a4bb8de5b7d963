"""A float network of which some activations are polynomials, in float64, straight from the op tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from arithmos.approx.composite import relu_of
from arithmos.approx.sets import sign_set
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.ops import OP_SETS
from arithmos.lower.calibrate import calibrate
from arithmos.lower.prepared import Prepared, prepared_by
from arithmos.lower.replacement import Replacement
from factories import conv, float_cnn, images


def hybrid(graph: Graph, replacements: Mapping[str, Replacement], x: np.ndarray) -> dict[str, np.ndarray]:
    """Every value; a ReLU that is named becomes B r(u / B), all else stays exact."""
    values = {graph.inputs[0]: x.astype(np.float64)}
    values |= {name: array.astype(np.float64) for name, array in graph.constants.items()}
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        if node.output in replacements:
            chosen = replacements[node.output]
            assert chosen.bound is not None
            values[node.output] = chosen.bound * relu_of(chosen.composite, operands[0] / chosen.bound)
        else:
            values[node.output] = OP_SETS["float"][node.op].run(*operands, **node.attrs)
    return values


def small_cnn() -> Prepared:
    """The residual CNN of the tests, prepared, with what 64 images show of it."""
    graph = float_cnn()
    return prepared_by(graph, calibrate(graph, [images(64)]))


def residual() -> Prepared:
    """Two convolutions and a third with a shortcut, each with a ReLU, a mean and four classes; no maxima, no ties."""
    rng = np.random.default_rng(9)
    b = Builder("float")
    padded = {"padding": ((1, 1), (1, 1))}
    y = conv(b, b.input("x", (-1, 3, 12, 12)), rng.normal(0, 0.3, (6, 3, 3, 3)), name="stem", **padded)
    y = b.add("relu", y, name="relu0")
    inner = b.add("relu", conv(b, y, rng.normal(0, 0.2, (6, 6, 3, 3)), name="inner", **padded), name="relu1")
    last = conv(b, inner, rng.normal(0, 0.2, (6, 6, 3, 3)), name="last", **padded)
    y = b.add("relu", b.add("add", last, y, name="sum"), name="relu2")
    y = b.add("reduce_mean", y, axes=(2, 3), keepdims=False, name="mean")
    graph = b.graph(b.add("linear", y, b.constant("fc.weight", rng.normal(0, 1, (4, 6))), name="fc"))
    return prepared_by(graph, calibrate(graph, [images(64) - 0.5]))


def composites(prepared: Prepared, alpha: int, margin: float = 1.5) -> dict[str, Replacement]:
    """Every ReLU by the same set, each with its own interval."""
    shared = sign_set(alpha, offset=False)
    return {
        node.output: Replacement(shared, prepared.observations[node.inputs[0]].magnitude * margin)
        for node in prepared.graph.nodes
        if node.op == "relu"
    }


def perceptron() -> tuple[Graph, np.ndarray, np.ndarray]:
    """linear, relu, linear of 3, 5 and 4 numbers, and the two matrices."""
    rng = np.random.default_rng(3)
    first, second = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((5, 3), (4, 5)))
    b = Builder("float")
    y = b.add("linear", b.input("x", (-1, 3)), b.constant("first.weight", first), name="first")
    y = b.add("relu", y, name="relu")
    return b.graph(b.add("linear", y, b.constant("second.weight", second), name="second")), first, second
