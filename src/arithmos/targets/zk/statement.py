"""The graph that is proved: the network's outputs, computed in the order that is cheapest to prove."""

from __future__ import annotations

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, Node
from arithmos.passes.rewrite import Rewriter, rewrite

ROUNDINGS = frozenset({"requantize", "clip"})


def pools_first(graph: Graph) -> Graph:
    """max(round(x_1), …, round(x_k)) = round(max(x_1, …, x_k)) for a rounding that never decreases.

    So a max pool behind a requantize or a clip that nobody else reads is taken first: one rounding where there were k.
    The pool takes the name `NAME.accumulator`, the rounding the pool's own, whose integers do not change. Not where
    windows overlap: there are then more outputs to a window than one rounding each.
    """
    while (moved := rewrite(graph, {"max_pool": _pool_first})).nodes != graph.nodes and _movable(graph):
        graph = moved
    return graph


def _movable(graph: Graph) -> bool:
    state = Rewriter(graph)
    return any(node.op == "max_pool" and _inner(state, node) is not None for node in graph.nodes)


def _pool_first(state: Rewriter, node: Node) -> str | None:
    inner = _inner(state, node)
    if inner is None:
        return None
    value = state.graph.values[node.output]
    x, *rest = (state.use(name) for name in inner.inputs)
    source = state.graph.values[inner.inputs[0]]
    pooled = state.emit("max_pool", x, like=source, name=f"{node.output}.accumulator", **node.attrs)
    return state.emit(inner.op, pooled, *rest, like=value, **inner.attrs)


def _inner(state: Rewriter, node: Node) -> Node | None:
    """The rounding before this pool, if it may be taken after it."""
    inner = state.producers.get(node.inputs[0])
    if inner is None or inner.op not in ROUNDINGS or state.sole_reader(inner.output) is None:
        return None
    at, rank = node.attrs, len(node.attrs["kernel"])
    if any(k > s for k, s in zip(at["kernel"], at["stride"], strict=True)):
        return None
    mul = state.array(inner.inputs[1]) if len(inner.inputs) > 1 else np.ones((), np.int64)
    assert mul is not None, "multipliers are constants"
    same = all(extent == 1 for extent in mul.shape[-rank:])
    return inner if same and int(mul.min()) >= 0 else None


def answered(graph: Graph, output: str) -> Graph:
    """The graph whose outputs are shown: "values" as they are, "argmax" the index of the largest along the last
    axis."""
    if output == "values":
        return graph
    if output != "argmax":
        raise UsageError(
            f"there is no output '{output}'",
            why="a proof shows the network's values or the index of the largest one",
            fix="choose values or argmax",
        )
    state = Rewriter(graph)
    for node in graph.nodes:
        inputs = [state.use(name) for name in node.inputs]
        state.stand_in(node.output, state.emit(node.op, *inputs, like=graph.values[node.output], **node.attrs))
    chosen = []
    for name in graph.outputs:
        value = graph.values[name]
        rank = len(value.shape)
        if rank < 2:
            raise UsageError(
                f"output '{name}' has no axis to take the largest of",
                why=f"its shape is {value.shape}",
                fix="show its values: --output values",
            )
        chosen.append(
            state.builder.add("argmax", state.use(name), name=f"{name}.argmax", source=value.source, axis=rank - 1)
        )
    return state.builder.graph(*chosen)


def statement(graph: Graph, output: str = "values") -> Graph:
    """What is proved of a network."""
    return pools_first(answered(graph, output))
