"""The analog network: what the float network gives each layer, in step with the network that is being quantized."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.ir.interpret import indices
from arithmos.ir.ops import FLOAT
from arithmos.lower.calibrate import Sample
from arithmos.lower.recipe import Recipe

LAYERS = frozenset({"conv", "linear"})

SAMPLE_BYTES = 3 << 30
"""What the live values of all kept samples may take, in the float and in the quantized network."""

FEWEST_KEPT, UNSOLVED_KEPT = 16, 64

RunNode = Callable[[Node, Sequence[np.ndarray]], np.ndarray]
"""(node, its operands) -> its result: one node of a float graph, by whatever computes it."""

Analog = Iterator[tuple[str, Sequence[np.ndarray]]]
"""(value of a conv or linear, its inputs piece by piece), in graph order."""


def run_in_numpy(node: Node, operands: Sequence[np.ndarray]) -> np.ndarray:
    """The float op set's own row."""
    return np.asarray(FLOAT[node.op].run(*operands, **node.attrs))


def layer_inputs(graph: Graph, samples: Sequence[Sample], run: RunNode = run_in_numpy) -> Analog:
    """The inputs of every conv and linear whose weight is constant, node by node, all samples at once.

    Memory: the live values of all samples. What is yielded is not kept.
    """
    whole, spent = indices(graph), spent_after(graph)
    live = [{name: as_real(sample[name], name in whole) for name in graph.inputs} for sample in samples]
    for node in graph.nodes:
        if is_layer(graph, node):
            yield node.output, [piece[node.inputs[0]] for piece in live]
        advance(graph, node, live, whole, run)
        for piece in live:
            for name in spent[node.output]:
                piece.pop(name, None)


def kept_samples(graph: Graph, recipe: Recipe, n: int) -> int:
    """How many of n calibration samples pass through the network once more: all, as far as SAMPLE_BYTES go (at least
    FEWEST_KEPT); UNSOLVED_KEPT where no weights are solved on them.

    It depends on nothing else, so that a recipe gives the same network wherever it is followed.
    """
    most = max(FEWEST_KEPT, SAMPLE_BYTES // (2 * max(live_bytes(graph), 1))) if recipe.solves else UNSOLVED_KEPT
    return min(n, most)


def live_bytes(graph: Graph) -> int:
    """The most bytes that live values take at once for one sample, in float32."""
    spent, sizes = spent_after(graph), {name: 4 * math.prod(map(abs, v.shape)) for name, v in graph.values.items()}
    live, most = sum(sizes[name] for name in graph.inputs), 0
    for node in graph.nodes:
        live += sizes[node.output]
        most = max(most, live)
        live -= sum(sizes[name] for name in spent[node.output] if name not in graph.constants)
    return most


def is_layer(graph: Graph, node: Node) -> bool:
    """Whether the node is a conv or linear with constant weights."""
    return node.op in LAYERS and node.inputs[1] in graph.constants


def advance(graph: Graph, node: Node, live: Sequence[dict[str, np.ndarray]], whole: set[str], run: RunNode) -> None:
    """Compute the node for every piece of live values; its result joins them."""
    for piece in live:
        operands = [piece[n] if n in piece else as_real(graph.constants[n], n in whole) for n in node.inputs]
        piece[node.output] = run(node, operands)


def as_real(array: np.ndarray, whole: bool) -> np.ndarray:
    """float32, except where integers choose rows."""
    return array if whole and array.dtype.kind in "iub" else array.astype(np.float32, copy=False)
