"""Padding folded into convolutions: zeros that a pad puts around an image are zeros the convolution can put there."""

from __future__ import annotations

from arithmos.ir.graph import Graph, Node
from arithmos.passes.rewrite import Rewriter, until_stable


def fold_padding(graph: Graph) -> Graph:
    """conv(pad(x, m), p) = conv(x, p + m) for a pad of zeros outside the image. Every value that stays is the same.

    Only where the pad has no other reader, leaves batch and channels alone, and puts nothing between two neighbours.
    """

    def rule(state: Rewriter, node: Node) -> str | None:
        before = state.producers.get(node.inputs[0])
        if (
            before is None
            or before.op != "pad"
            or before.attrs["fill"] != 0
            or state.sole_reader(before.output) is None
        ):
            return None
        kept, margins = before.attrs["margins"][:2], before.attrs["margins"][2:]
        if any(any(m) for m in kept) or any(between for _, _, between in margins):
            return None
        pairs = zip(node.attrs["padding"], margins, strict=True)
        padding = tuple((lo + before_x, hi + after_x) for (lo, hi), (before_x, after_x, _) in pairs)
        inputs = [state.use(name) for name in (before.inputs[0], *node.inputs[1:])]
        return state.emit("conv", *inputs, like=state.graph.values[node.output], **{**node.attrs, "padding": padding})

    return until_stable(graph, {"conv": rule})
