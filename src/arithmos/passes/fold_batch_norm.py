"""Batch-norm folding: conv or linear followed by batch norm becomes one conv or linear."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.passes.rewrite import Rewriter, rewrite


def fold_batch_norm(graph: Graph) -> Graph:
    """w' = w * g, b' = (b - mean) * g + beta with g = gamma / sqrt(var + eps), computed in float64 per output channel.

    Only where the convolution has no other reader. The folded node takes the name of the batch norm's value, which it
    now computes, so calibration statistics of that value stay true. Exact in the reals.
    """

    layers = _foldable(graph)

    def rule(state: Rewriter, node: Node) -> str | None:
        before = layers.get(node.inputs[0])
        if before is None:
            return None
        parameters = [
            np.asarray(state.array(name), dtype=np.float64) for name in (*before.inputs[1:], *node.inputs[1:])
        ]
        weight, *bias = parameters[: len(before.inputs) - 1]
        _, beta, mean, _ = parameters[len(before.inputs) - 1 :]
        gain = norm_gain(state.graph, node)
        offset = (np.subtract(bias[0], mean) if bias else -mean) * gain + beta
        stored = state.graph.constants[before.inputs[1]].dtype
        source = graph.values[before.output].source
        return state.emit(
            before.op,
            state.use(before.inputs[0]),
            state.constant(
                before.inputs[1], (weight * gain.reshape(-1, *[1] * (weight.ndim - 1))).astype(stored), source
            ),
            state.constant(f"{before.output}.bias", offset.astype(stored), source),
            like=graph.values[node.output],
            **before.attrs,
        )

    def skip(state: Rewriter, node: Node) -> str | None:
        return state.use(node.inputs[0]) if node.output in layers else None  # its only reader becomes the layer itself

    return rewrite(graph, {"batch_norm": rule, "conv": skip, "linear": skip})


def norm_gain(graph: Graph, node: Node) -> np.ndarray:
    """gamma / sqrt(var + eps) of a batch norm, float64, per channel."""
    gamma, var = (np.asarray(graph.constants[node.inputs[place]], dtype=np.float64) for place in (1, 4))
    return np.asarray(gamma / np.sqrt(var + node.attrs["eps"]))


def _foldable(graph: Graph) -> dict[str, Node]:
    """The layers that a batch norm folds into, by their value; every parameter of both is constant."""
    made_by, readers = producers(graph), consumers(graph)
    layers = {}
    for node in graph.nodes:
        before = made_by.get(node.inputs[0]) if node.op == "batch_norm" else None
        if (
            before is not None
            and (before.op == "conv" or (before.op == "linear" and len(graph.values[node.output].shape) == 2))
            and len(readers[before.output]) == 1
            and before.output not in graph.outputs
            and all(name in graph.constants for name in (*before.inputs[1:], *node.inputs[1:]))
        ):
            layers[before.output] = before
    return layers
