"""Constant folding: a node of constants only becomes a constant. Every other value keeps its integers or floats."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops import OP_SETS
from arithmos.passes.rewrite import Rewriter, rewrite


def fold_constants(graph: Graph) -> Graph:
    """y = op(constants) is computed once: in int64 in an integer graph, in the constants' own type in a float graph."""
    folded: dict[str, np.ndarray] = {}

    def rule(state: Rewriter, node: Node) -> str | None:
        arrays = [folded[n] if n in folded else state.array(n) for n in node.inputs]
        if any(a is None for a in arrays) or any(e < 0 for e in graph.values[node.output].shape):
            return None
        cast = [a.astype(np.int64) if graph.op_set == "int" else a for a in arrays if a is not None]
        result = np.asarray(OP_SETS[graph.op_set][node.op].run(*cast, **node.attrs))
        folded[node.output] = result
        value = graph.values[node.output]
        return state.builder.constant(node.output, result, value.scale, value.source)

    return rewrite(graph, rule)
