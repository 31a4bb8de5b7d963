"""Merging of tables: two one-input steps on a small range become one table."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops import INT
from arithmos.passes.rewrite import Rewriter, until_stable

SMALL = 256
"""A merged table may always have this many entries, and never more than the larger of the tables it replaces."""

ONE_INPUT = ("table", "clip", "requantize")


def merge_tables(graph: Graph) -> Graph:
    """g(f(x)) = table(x), table[v] = g(f(v)); f and g are shared tables, clips, or requantizes by one number.

    Only where one of them is a table, f(x) has no other reader, and the result is small or no larger than a table it
    replaces. Exact: every v is computed.
    """

    def rule(state: Rewriter, node: Node) -> str | None:
        inner = state.producers.get(node.inputs[0])
        if inner is None or inner.op not in ONE_INPUT or state.sole_reader(inner.output) is None:
            return None
        sizes = [state.graph.values[n.inputs[1]].shape[-1] for n in (inner, node) if n.op == "table"]
        x = state.graph.values[inner.inputs[0]].range
        assert x is not None
        if not sizes or x.hi - x.lo >= max(SMALL, *sizes) or not all(_is_shared(state, n) for n in (inner, node)):
            return None
        entries = np.arange(x.lo, x.hi + 1, dtype=np.int64)
        for step in (inner, node):
            constants = (state.graph.constants[name].astype(np.int64).reshape(-1) for name in step.inputs[1:])
            entries = INT[step.op].run(entries, *constants, **step.attrs)
        value = state.graph.values[node.output]
        constant = state.constant(f"{node.output}.entries", entries, value.source)
        return state.emit("table", state.use(inner.inputs[0]), constant, like=value, offset=x.lo, axis=None)

    return until_stable(graph, dict.fromkeys(ONE_INPUT, rule))


def _is_shared(state: Rewriter, node: Node) -> bool:
    """Whether the node does the same to every element: one table, one multiplier."""
    if node.op == "table":
        return node.attrs["axis"] is None and node.inputs[1] in state.graph.constants
    return all(name in state.graph.constants and state.graph.constants[name].size == 1 for name in node.inputs[1:])
