"""C: one portable C99 source and one header with the weights; no malloc, no floating point, no libraries."""

from __future__ import annotations

from arithmos.ir.graph import Graph, Node
from arithmos.targets.c.emitters import EMIT
from arithmos.targets.c.export import export
from arithmos.targets.c.runner import prepare
from arithmos.targets.c.sample import batches
from arithmos.targets.target import Target


def refuse(graph: Graph, node: Node) -> str:
    """Why one sample at a time cannot compute this node, or C cannot hold it; "" if it can."""
    empty = [name for name in (*node.inputs, node.output) if 0 in graph.values[name].shape]
    if empty:
        return f"{empty[0]} has no elements, and C has no arrays without any"
    return batches(graph).problems.get(node.output, "")


TARGET = Target("c", "portable C99, one sample a call, by the system compiler", EMIT, prepare, export, refuse)
