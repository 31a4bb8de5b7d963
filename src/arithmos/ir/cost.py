"""What a network costs before it runs: multiplications, parameters, table entries, accumulator widths, node by node."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arithmos.ir.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class NodeCost:
    """Cost of one node for one sample. `bits`: width of its proven range, unsigned where possible; 0 for floats."""

    name: str
    op: str
    macs: int
    parameters: int
    table_entries: int
    elements: int
    bits: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network for one sample, in all and by node."""

    nodes: tuple[NodeCost, ...]
    macs: int
    parameters: int
    table_entries: int
    widest_bits: int


WEIGHTED = frozenset({"conv", "linear", "matmul", "gather"})
"""Integer ops whose constants are the network's parameters; those of others are multipliers, offsets and tables. In
real graphs all constants are, but for the coefficients of polynomials."""


def cost(graph: Graph) -> Cost:
    """MACs: output elements x products each. A constant counts once, where first read; multipliers do not."""
    seen: set[str] = set()
    rows = []
    for node in graph.nodes:
        fresh = [n for n in dict.fromkeys(node.inputs) if n in graph.constants and n not in seen]
        seen.update(fresh)
        sizes = {n: int(graph.constants[n].size) for n in fresh}
        is_table = node.op == "table"
        interval = graph.values[node.output].range
        rows.append(
            NodeCost(
                node.output,
                node.op,
                macs(graph, node),
                sum(sizes.values()) if _holds_parameters(graph, node) else 0,
                sum(sizes.values()) if is_table else 0,
                elements(graph.values[node.output].shape),
                0 if interval is None else interval.width,
            )
        )
    return Cost(
        tuple(rows),
        sum(r.macs for r in rows),
        sum(r.parameters for r in rows),
        sum(r.table_entries for r in rows),
        max((r.bits for r in rows), default=0),
    )


def _holds_parameters(graph: Graph, node: Node) -> bool:
    return node.op in WEIGHTED or graph.op_set == "float" or (graph.op_set == "poly" and node.op != "polynomial")


def elements(shape: tuple[int, ...]) -> int:
    """Numbers in one sample of a value."""
    return abs(math.prod(shape))


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of conv, linear and matmul for one sample; 0 for every other op."""
    out = elements(graph.values[node.output].shape)
    if node.op in ("conv", "linear"):
        return out * math.prod(graph.values[node.inputs[1]].shape[1:])
    if node.op == "matmul":
        return out * graph.values[node.inputs[0]].shape[-1]
    return 0
