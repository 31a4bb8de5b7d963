"""Why a node has no circuit, where its op has a gadget."""

from __future__ import annotations

import math

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval
from arithmos.ir.ops.arithmetic import requantize_sum
from arithmos.targets.zk.affine import is_affine
from arithmos.targets.zk.place import Place
from arithmos.targets.zk.reach import MOST_REACH, reach

MOST_BITS = 62
"""Every number that a gadget takes apart, and every sum on the way, stays an int64."""

MOST_ENTRIES = 1 << 16
"""A table of 2**n entries costs more than 2**(n / 2 + 1) constraints for each lookup."""


def refuse(graph: Graph, node: Node) -> str:
    """Why this node does not fit, "" if it does."""
    if 0 in graph.values[node.output].shape:
        return f"{node.output} has no elements"
    if is_affine(Place(graph, node, {})):
        for name in node.inputs:
            if name in graph.inputs and (bits := _range(graph, name).bits) > MOST_BITS:
                return f"its input '{name}' needs {bits} bits, a gadget holds {MOST_BITS}"
        return _overflow(reach(graph, node.output))
    bits = max(interval.bits for interval in _numbers(graph, node))
    if bits > MOST_BITS:
        return f"its numbers need {bits} bits, a gadget holds {MOST_BITS}"
    if node.op in ("table", "gather"):
        entries = (
            graph.values[node.inputs[1]].shape[-1] if node.op == "table" else graph.values[node.inputs[0]].shape[0]
        )
        if entries > MOST_ENTRIES:
            return f"its table has {entries} entries, a lookup by bits takes {MOST_ENTRIES}"
        if (bits := _range(graph, node.output).bits + entries.bit_length()) > MOST_BITS:
            return f"its numbers need {bits} bits, a gadget holds {MOST_BITS}"  # coefficients sum up to so many entries
    computed = (name for name in node.inputs if name not in graph.constants)
    return _overflow(max((reach(graph, name) for name in computed), default=1.0) * _factor(graph, node))


def _overflow(reached: float) -> str:
    if reached <= MOST_REACH:
        return ""
    return f"coefficients of its wires could reach 2**{math.ceil(math.log2(reached))}, a circuit holds 2**62"


def _factor(graph: Graph, node: Node) -> int:
    """What the node's gadget multiplies its operands by; it takes at most two of them together."""
    if node.op == "requantize" and len(node.inputs) > 1:
        return max(_range(graph, node.inputs[1]).magnitude, 1)
    return 2


def _numbers(graph: Graph, node: Node) -> list[Interval]:
    """What the node's gadgets take apart."""
    operands = [_range(graph, name) for name in node.inputs]
    made = _range(graph, node.output)
    found = [*operands, made]
    if node.op == "requantize":
        mul = graph.constants[node.inputs[1]] if len(node.inputs) > 1 else None
        total = requantize_sum(operands[0], mul, node.attrs["shift"])
        found += [total, total - total, *_saturated(made, total.hi >> node.attrs["shift"])]
    elif node.op in ("clip", "max_pool", "reduce_max", "argmax", "shift_right"):
        found += [operands[0] - operands[0], *_saturated(made, operands[0].hi if node.op == "clip" else made.hi)]
    elif node.op in ("maximum", "where"):
        found.append(operands[-2] - operands[-1])
    elif node.op == "floor_div":
        found += [operands[0] - operands[1]]
    return found


def _saturated(made: Interval, reached: int) -> list[Interval]:
    """The result of a rounding that is clipped above, times what `any_of` makes of at most 8 bits: 8!, below 2**16."""
    return [(made - made) * Interval(1 << 16, 1 << 16)] if reached > made.hi else []


def _range(graph: Graph, name: str) -> Interval:
    interval = graph.values[name].range
    assert interval is not None, "only integer graphs have circuits"
    return interval
