"""The network as one frozen value: nodes from a closed op set, values with shape, proven range, scale and source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.interval import Interval
from arithmos.ir.scale import Scale

Shape = tuple[int, ...]
"""Extents of the axes. An entry -k stands for k times the batch size: (-1, 3, 32, 32) is any number of images."""

BATCH = -1
OpSet = Literal["float", "int", "poly"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from: the torch module path ("layer1.0.conv1") and the user's line ("model.py:41")."""

    module: str = ""
    line: str = ""

    def __str__(self) -> str:
        return f"{self.module} ({self.line})" if self.module and self.line else self.module or self.line


@dataclass(frozen=True, slots=True)
class Value:
    """A named tensor. `range` is proven (None but in integer graphs); `scale` is a label and may be missing."""

    name: str
    shape: Shape
    range: Interval | None = None
    scale: Scale | None = None
    source: Source = Source()


@dataclass(frozen=True, slots=True)
class Node:
    """output = op(*inputs, **attrs). Every op has exactly one output; the node is known by its name."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Graph:
    """A network. `nodes` are in an order in which every input is computed before it is used.

    `values` holds every input, constant and node output; `constants` the read-only arrays of those that are constant
    (integers in their narrowest type in an `int` graph). Two graphs are the same if their digests are (see codec).
    """

    op_set: OpSet
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        for array in self.constants.values():
            array.flags.writeable = False
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    def __repr__(self) -> str:
        return f"<Graph[{self.op_set}] {len(self.nodes)} nodes, {', '.join(self.inputs)} -> {', '.join(self.outputs)}>"


def require_graph(graph: object) -> None:
    """Raise UsageError for anything but a Graph, such as the torch module itself or the path of a bundle."""
    if not isinstance(graph, Graph):
        raise UsageError(
            f"a graph is needed, this is of type {type(graph).__name__}",
            why="networks are computed as graphs, which ar.trace makes of a module and ar.load reads from a bundle",
            fix="give ar.trace(module, example), ar.quantize(…) of it, or ar.load(path)",
        )


def producers(graph: Graph) -> dict[str, Node]:
    """The node that computes each value; inputs and constants have none."""
    return {node.output: node for node in graph.nodes}


def consumers(graph: Graph) -> dict[str, list[Node]]:
    """The nodes that read each value, in order; a graph output counts for no node."""
    readers: dict[str, list[Node]] = {name: [] for name in graph.values}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            readers[name].append(node)
    return readers


def spent_after(graph: Graph, keep: Collection[str] = ()) -> dict[str, list[str]]:
    """{output of a node: what it reads or makes that no later node reads, without `keep`}: what a run may forget."""
    wanted, spent = set(keep), {}
    for node in reversed(graph.nodes):
        here = dict.fromkeys((*node.inputs, node.output))
        spent[node.output] = [name for name in here if name not in wanted]
        wanted.update(here)
    return spent
