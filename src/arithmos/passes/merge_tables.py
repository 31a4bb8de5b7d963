"""Merging of tables: two one-input steps on a small range become one table."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops import INT
from arithmos.passes.rewrite import Rewriter, until_stable

LARGEST = 1 << 16
"""A table has at most this many entries."""


def merge_tables(graph: Graph) -> Graph:
    """table2(f(x)) = table(x), table[v] = table2[f(v)]; f is a shared table, a clip, or a requantize by one number.

    Only where f(x) has no other reader and the range of x has at most 65,536 integers. Exact: every v is computed.
    """

    def rule(state: Rewriter, node: Node) -> str | None:
        inner = state.producers.get(node.inputs[0])
        if inner is None or inner.op not in ("table", "clip", "requantize") or state.sole_reader(inner.output) is None:
            return None
        x = graph.values[inner.inputs[0]]
        assert x.range is not None
        extra = [state.array(name) for name in inner.inputs[1:]]
        shared = node.attrs["axis"] is None and inner.attrs.get("axis") is None
        if (
            not shared
            or x.range.hi - x.range.lo >= LARGEST
            or any(a is None or (inner.op != "table" and a.size > 1) for a in extra)
        ):
            return None
        domain = np.arange(x.range.lo, x.range.hi + 1, dtype=np.int64)
        middle = INT[inner.op].run(
            domain, *(a.astype(np.int64).reshape(-1) for a in extra if a is not None), **inner.attrs
        )
        outer = state.array(node.inputs[1])
        assert outer is not None
        entries = INT["table"].run(middle, outer.astype(np.int64), **node.attrs)
        value = graph.values[node.output]
        constant = state.constant(f"{node.output}.entries", entries, value.source)
        return state.emit("table", state.use(inner.inputs[0]), constant, like=value, offset=x.range.lo, axis=None)

    return until_stable(graph, {"table": rule})
