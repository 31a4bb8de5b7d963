"""How large the coefficients and constants of a value's combination of wires can get: they are int64.

A value's range does not bound them: 2**40 * (x - 2**40) is 0 .. 2**40 for an x of 2**40 or 2**40 + 1, and has the
constant -2**80. So |constant| + sum of |coefficient| is bounded by the absolute values of all weights on the way from
the wires, in float64: its relative error is far below the factor 2 by which MOST_REACH stays below 2**63.
"""

from __future__ import annotations

import math

import numpy as np

from arithmos.ir.graph import Graph, Node, producers
from arithmos.ir.interval import interval_of
from arithmos.targets.zk.affine import is_affine
from arithmos.targets.zk.place import Place

MOST_REACH = 2.0**62

_PASSING = frozenset({"maximum", "max_pool", "reduce_max"})
"""Gadgets whose result is an operand itself where the bounds decide."""


def reach(graph: Graph, name: str) -> float:
    """A bound of |constant| + sum of |coefficient| of every element of a value."""
    made_by, todo = producers(graph), [name]
    needed: set[str] = set()
    while todo:
        node = made_by.get(todo.pop())
        if node and node.output not in needed and (node.op in _PASSING or is_affine(Place(graph, node, {}))):
            needed.add(node.output)
            todo += node.inputs
    found: dict[str, float] = {}
    for node in graph.nodes:
        if node.output in needed:
            found[node.output] = _combined(
                graph, node, [found[n] if n in found else _fresh(graph, n) for n in node.inputs]
            )
    return found[name] if name in found else _fresh(graph, name)


def _fresh(graph: Graph, name: str) -> float:
    """Of an input, one wire; of a constant; of a gadget's result, which is a number by its bits and a base."""
    if name in graph.inputs:
        return 1.0
    if name in graph.constants:
        return float(interval_of(graph.constants[name]).magnitude)
    interval = graph.values[name].range
    assert interval is not None, "only integer graphs have circuits"
    return 4.0 * max(interval.magnitude, 1)


def _combined(graph: Graph, node: Node, operands: list[float]) -> float:
    """Of a node that is linear in its operands, or one of them."""
    if node.op in ("conv", "linear"):
        weight = np.abs(graph.constants[node.inputs[1]].astype(np.float64))
        return operands[0] * float(weight.reshape(len(weight), -1).sum(axis=1).max(initial=0)) + sum(operands[2:])
    if node.op == "sum_pool":
        return operands[0] * float(math.prod(node.attrs["kernel"]))
    if node.op == "reduce_sum":
        shape = graph.values[node.inputs[0]].shape
        return operands[0] * float(math.prod(abs(shape[axis]) for axis in node.attrs["axes"]))
    if node.op == "matmul":
        return operands[0] * operands[1] * graph.values[node.inputs[0]].shape[-1]
    if node.op == "mul":
        return operands[0] * operands[1]
    if node.op in ("add", "sub"):
        return operands[0] + operands[1]
    fill = abs(float(node.attrs.get("fill", 0)))
    return max(1.0, fill, *operands)  # a gadget that passes gives a wire otherwise
