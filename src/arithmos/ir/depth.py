"""What a polynomial network costs under encryption: levels and multiplications, activation by activation."""

from __future__ import annotations

from dataclasses import dataclass

from arithmos.ir.cost import elements
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops.polynomial import degree, levels, multiplications

SCALED = frozenset({"conv", "linear", "matmul", "mul"})
"""Ops that multiply, by constants or by each other: one level each."""


@dataclass(frozen=True, slots=True)
class ActivationDepth:
    """One polynomial: its stages' degrees, and what one evaluation takes; the product x (1 + p) / 2 is counted."""

    name: str
    degrees: tuple[int, ...]
    bound: float | None
    levels: int
    multiplications: int
    elements: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Of a network. activation_levels and levels: on the path where they are largest, of polynomials alone and with one
    level for each op that multiplies; multiplications: non-scalar ones of all polynomials, each counted once."""

    activations: tuple[ActivationDepth, ...]
    activation_levels: int
    levels: int
    multiplications: int


def depth(graph: Graph) -> Depth:
    """Levels and multiplications of every polynomial and of the network; a graph without polynomials has none."""
    found = {node.output: activation(graph, node) for node in graph.nodes if node.op == "polynomial"}
    alone: dict[str, int] = {}
    whole: dict[str, int] = {}
    for node in graph.nodes:
        own = found[node.output].levels if node.output in found else 0
        alone[node.output] = own + max((alone.get(name, 0) for name in node.inputs), default=0)
        own = own or int(node.op in SCALED)
        whole[node.output] = own + max((whole.get(name, 0) for name in node.inputs), default=0)
    return Depth(
        tuple(found.values()),
        max((alone.get(name, 0) for name in graph.outputs), default=0),
        max((whole.get(name, 0) for name in graph.outputs), default=0),
        sum(a.multiplications for a in found.values()),
    )


def activation(graph: Graph, node: Node) -> ActivationDepth:
    """What one polynomial node takes."""
    degrees = tuple(degree(graph.constants[name]) for name in node.inputs[1:])
    product = int(node.attrs["form"] == "relu")
    return ActivationDepth(
        node.output,
        degrees,
        node.attrs["bound"],
        levels(degrees) + product,
        multiplications(degrees) + product,
        elements(graph.values[node.output].shape),
    )
