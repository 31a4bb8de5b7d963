"""Dead code: nodes and constants that no output needs are dropped. Every output keeps its value."""

from __future__ import annotations

from arithmos.ir.graph import Graph
from arithmos.passes.rewrite import prune


def dead_code(graph: Graph) -> Graph:
    """The graph restricted to what its outputs need; inputs stay."""
    return prune(graph)
