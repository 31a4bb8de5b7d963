"""Rebuild a graph node by node, replacing some nodes: what every pass is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Node, Source, Value, consumers, producers


class Rewriter:
    """The old graph, the new one under construction, and which new value stands for which old one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph.op_set)
        self.producers = producers(graph)
        self.consumers = consumers(graph)
        self._names: dict[str, str] = {}
        for name in graph.inputs:
            value = graph.values[name]
            self._names[name] = self.builder.input(name, value.shape, value.range, value.scale, value.source)

    def use(self, name: str) -> str:
        """The new value that stands for the old one; constants are copied when they are first used."""
        if name not in self._names:
            value = self.graph.values[name]
            self._names[name] = self.builder.constant(name, self.graph.constants[name], value.scale, value.source)
        return self._names[name]

    def stand_in(self, old: str, new: str) -> None:
        """From here on `new` is read where `old` was."""
        self._names[old] = new

    def emit(self, op: str, *inputs: str, like: Value, name: str = "", **attrs: Any) -> str:
        """Add a node of new inputs that carries the scale and source of `like` and, unless given, its name."""
        return self.builder.add(op, *inputs, name=name or like.name, scale=like.scale, source=like.source, **attrs)

    def constant(self, name: str, array: np.ndarray, source: Source = Source()) -> str:
        """Add a new constant."""
        return self.builder.constant(name, array, source=source)

    def sole_reader(self, name: str) -> Node | None:
        """The only node that reads the value, unless it is an output too."""
        readers = self.consumers[name]
        return readers[0] if len(readers) == 1 and name not in self.graph.outputs else None

    def array(self, name: str) -> np.ndarray | None:
        """The old constant, or None."""
        return self.graph.constants.get(name)


Rule = Callable[[Rewriter, Node], str | None]


def rewrite(graph: Graph, rules: Mapping[str, Rule] | Rule) -> Graph:
    """Copy the graph; rule(rewriter, node) returns the new value for the node's output, or None to copy the node.

    Nodes and constants that nothing needs any more are left out (inputs stay).
    """
    state = Rewriter(graph)
    for node in graph.nodes:
        rule = rules.get(node.op) if isinstance(rules, Mapping) else rules
        new = rule(state, node) if rule else None
        if new is None:
            inputs = [state.use(name) for name in node.inputs]
            new = state.emit(node.op, *inputs, like=graph.values[node.output], **node.attrs)
        state.stand_in(node.output, new)
    return prune(state.builder.graph(*(state.use(name) for name in graph.outputs)))


def until_stable(graph: Graph, rules: Mapping[str, Rule]) -> Graph:
    """Rewrite by rules that each drop a node until nothing is dropped: chains of three and more need several rounds."""
    while len((smaller := rewrite(graph, rules)).nodes) < len(graph.nodes):
        graph = smaller
    return smaller


def prune(graph: Graph) -> Graph:
    """The graph without nodes and constants that no output needs; inputs stay, for they are its signature."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
    keep = needed | set(graph.inputs)
    return Graph(
        graph.op_set,
        tuple(node for node in graph.nodes if node.output in needed),
        {name: value for name, value in graph.values.items() if name in keep},
        {name: array for name, array in graph.constants.items() if name in needed},
        graph.inputs,
        graph.outputs,
    )
