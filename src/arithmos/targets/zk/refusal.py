"""Why a node has no circuit, where its op has a gadget."""

from __future__ import annotations

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval
from arithmos.ir.ops.arithmetic import requantize_sum
from arithmos.targets.zk.affine import is_affine
from arithmos.targets.zk.place import Place

MOST_BITS = 62
"""Every number that a gadget takes apart, and every sum on the way, stays an int64."""

MOST_ENTRIES = 1 << 16
"""A table of 2**n entries costs more than 2**(n / 2 + 1) constraints for each lookup."""


def refuse(graph: Graph, node: Node) -> str:
    """Why this node does not fit, "" if it does."""
    if 0 in graph.values[node.output].shape:
        return f"{node.output} has no elements"
    if is_affine(Place(graph, node, {})):
        return ""
    bits = max(interval.bits for interval in _numbers(graph, node))
    if bits > MOST_BITS:
        return f"its numbers need {bits} bits, a gadget holds {MOST_BITS}"
    if node.op in ("table", "gather"):
        entries = (
            graph.values[node.inputs[1]].shape[-1] if node.op == "table" else graph.values[node.inputs[0]].shape[0]
        )
        if entries > MOST_ENTRIES:
            return f"its table has {entries} entries, a lookup by bits takes {MOST_ENTRIES}"
    return ""


def _numbers(graph: Graph, node: Node) -> list[Interval]:
    """What the node's gadgets take apart."""
    operands = [_range(graph, name) for name in node.inputs]
    found = [*operands, _range(graph, node.output)]
    if node.op == "requantize":
        mul = graph.constants[node.inputs[1]] if len(node.inputs) > 1 else None
        total = requantize_sum(operands[0], mul, node.attrs["shift"])
        found += [total, total - total]
    elif node.op in ("clip", "max_pool", "reduce_max", "argmax", "shift_right"):
        found.append(operands[0] - operands[0])
    elif node.op in ("maximum", "where"):
        found.append(operands[-2] - operands[-1])
    elif node.op == "floor_div":
        found += [operands[0] - operands[1]]
    return found


def _range(graph: Graph, name: str) -> Interval:
    interval = graph.values[name].range
    assert interval is not None, "only integer graphs have circuits"
    return interval
