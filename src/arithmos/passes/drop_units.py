"""Dropping of multipliers of one, which lowering writes where a trained step may make them something else."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.passes.rewrite import Rewriter, rewrite


def drop_units(graph: Graph) -> Graph:
    """x * 1 = x; requantize(x * 1, shift) = requantize(x, shift), and clip(x) where shift is 0.

    Every value that stays is the same.
    """

    def rule(state: Rewriter, node: Node) -> str | None:
        value = graph.values[node.output]
        mul = state.array(node.inputs[1]) if len(node.inputs) > 1 else None
        if mul is None or not np.all(mul == 1):
            return None
        x = state.use(node.inputs[0])
        if node.op == "mul":
            return x if graph.values[node.inputs[0]].shape == value.shape else None
        ends = {"lo": node.attrs["lo"], "hi": node.attrs["hi"]}
        if node.attrs["shift"] == 0:
            return state.emit("clip", x, like=value, **ends)
        return state.emit("requantize", x, like=value, shift=node.attrs["shift"], **ends)

    return rewrite(graph, {"mul": rule, "requantize": rule}) if graph.op_set == "int" else graph
