"""Fusing of clips: a clip that follows a requantize or another clip moves into it."""

from __future__ import annotations

from arithmos.ir.graph import Graph, Node
from arithmos.passes.rewrite import Rewriter, until_stable


def fuse_requantize(graph: Graph) -> Graph:
    """clip(clip(x, a, b), c, d) = clip(x, clip(a, c, d), clip(b, c, d)), for requantize(…, a, b) as for clip.

    Only where the inner value has no other reader. The fused node takes the outer name, whose integers do not change.
    """

    def rule(state: Rewriter, node: Node) -> str | None:
        inner = state.producers.get(node.inputs[0])
        if inner is None or inner.op not in ("requantize", "clip") or state.sole_reader(inner.output) is None:
            return None
        lo, hi = node.attrs["lo"], node.attrs["hi"]
        outer_lo = -(1 << 63) if lo is None else lo
        outer_hi = (1 << 63) - 1 if hi is None else hi
        a = -(1 << 63) if inner.attrs["lo"] is None else inner.attrs["lo"]
        b = (1 << 63) - 1 if inner.attrs["hi"] is None else inner.attrs["hi"]
        attrs = {**inner.attrs, "lo": min(max(a, outer_lo), outer_hi), "hi": min(max(b, outer_lo), outer_hi)}
        return state.emit(inner.op, *(state.use(n) for n in inner.inputs), like=graph.values[node.output], **attrs)

    return until_stable(graph, {"clip": rule}) if graph.op_set == "int" else graph
