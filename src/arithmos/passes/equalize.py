"""Cross-layer equalisation: channel ranges of consecutive layers are balanced; the function does not change."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.passes.rewrite import Rewriter, rewrite

PASSES_SCALE = {
    "conv": frozenset({"relu", "leaky_relu", "max_pool", "avg_pool"}),
    "linear": frozenset({"relu", "leaky_relu"}),
}
"""f(r x) = r f(x), r > 0: what may stand between two such layers; pooling would mix a linear layer's features."""


def equalize(graph: Graph) -> Graph:
    """W1_i / r_i, b1_i / r_i, W2_:,i * r_i with r_i = sqrt(max|W1_i| * max|W2_:,i|) / max|W2_:,i|.

    For every pair conv -> (relu, leaky relu, pooling)* -> conv without other readers, both ungrouped; exact in the
    reals because those functions are positively homogeneous. Channels without weights keep r = 1. Source: Nagel et
    al., arXiv 1906.04721, equation 11.
    """
    weights = {name: array.astype(np.float64) for name, array in graph.constants.items() if array.dtype.kind == "f"}
    for first, second in _pairs(graph):
        one, two = weights[first.inputs[1]], weights[second.inputs[1]]
        r = _ratios(one, two)
        weights[first.inputs[1]] = one / r.reshape(-1, *[1] * (one.ndim - 1))
        if len(first.inputs) > 2:
            weights[first.inputs[2]] = weights[first.inputs[2]] / r
        weights[second.inputs[1]] = two * r.reshape(1, -1, *[1] * (two.ndim - 2))
    changed = {n for node in graph.nodes if node.op in ("conv", "linear") for n in node.inputs[1:]}

    def rule(state: Rewriter, node: Node) -> str | None:
        inputs = [state.use(node.inputs[0])]
        for name in node.inputs[1:]:
            old = graph.constants.get(name)
            if old is None or name not in changed or name not in weights:
                inputs.append(state.use(name))
            else:
                value = graph.values[name]
                inputs.append(state.builder.constant(name, weights[name].astype(old.dtype), value.scale, value.source))
        return state.emit(node.op, *inputs, like=graph.values[node.output], **node.attrs)

    return rewrite(graph, {"conv": rule, "linear": rule})


def _pairs(graph: Graph) -> list[tuple[Node, Node]]:
    """(first, second) layers of equal kind with only homogeneous functions and single readers between them."""
    readers, made_by = consumers(graph), producers(graph)
    constants = graph.constants
    pairs = []
    for second in graph.nodes:
        if second.op not in PASSES_SCALE or second.attrs.get("groups", 1) != 1:
            continue
        before = made_by.get(second.inputs[0])
        while before is not None and before.op in PASSES_SCALE[second.op] and _single(graph, readers, before):
            before = made_by.get(before.inputs[0])
        if (
            before is None
            or before.op != second.op
            or before.attrs.get("groups", 1) != 1
            or not _single(graph, readers, before)
        ):
            continue
        if all(name in constants and len(readers[name]) == 1 for node in (before, second) for name in node.inputs[1:]):
            pairs.append((before, second))
    return pairs


def _single(graph: Graph, readers: dict[str, list[Node]], node: Node) -> bool:
    return len(readers[node.output]) == 1 and node.output not in graph.outputs


def _ratios(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    a = np.abs(one).reshape(one.shape[0], -1).max(axis=1)
    b = np.abs(np.moveaxis(two, 1, 0)).reshape(two.shape[1], -1).max(axis=1)
    ratios = np.ones_like(a)
    alive = (a > 0) & (b > 0)
    ratios[alive] = np.sqrt(a[alive] * b[alive]) / b[alive]
    return np.asarray(ratios)
