"""The network as steps: each becomes one C function that computes one value, with what leads to it in one loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from arithmos.ir.cost import macs
from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.targets.c.sample import sample_shape


@dataclass(frozen=True, slots=True)
class Step:
    """nodes, in graph order, computed together; the last one's value is stored, the others live in registers.

    anchor: the node that brings its own loops (a sum of products, a window, a reduction); None if every node is
    element by element.
    """

    nodes: tuple[Node, ...]
    anchor: Node | None

    @property
    def root(self) -> Node:
        """The node whose value is stored."""
        return self.nodes[-1]


def steps(
    graph: Graph, scalar: Collection[str], views: Collection[str], anchors: Collection[str], *, fuse: bool
) -> tuple[Step, ...]:
    """The nodes of the graph in steps; without `fuse` one step a node, so that every value is stored.

    scalar: ops of one element each. views: the scalar ops that read their first input elsewhere than at the same
    index, so that it must be in memory. anchors: ops that a chain of scalar ops can follow without memory between.
    """
    readers, makers = consumers(graph), producers(graph)
    taken: set[str] = set()
    found = []
    for root in reversed(graph.nodes):
        if root.output in taken:
            continue
        chosen = {root.output: root}
        anchor = root if root.op in anchors else None
        if fuse and root.op in scalar:
            _grow(graph, chosen, readers, makers, scalar, views)
            anchor = _anchor(graph, chosen, readers, makers, views, anchors)
            if anchor is not None:
                chosen[anchor.output] = anchor
        taken.update(chosen)
        found.append(Step(tuple(node for node in graph.nodes if node.output in chosen), anchor))
    return tuple(reversed(found))


def _grow(
    graph: Graph,
    chosen: dict[str, Node],
    readers: Mapping[str, list[Node]],
    makers: Mapping[str, Node],
    scalar: Collection[str],
    views: Collection[str],
) -> None:
    """Add scalar nodes that only chosen ones read, until there is none."""
    shape = sample_shape(graph.values[next(iter(chosen))].shape)
    waiting = list(chosen.values())
    while waiting:
        for name in waiting.pop().inputs:
            maker = makers.get(name)
            if maker is None or name in chosen or maker.op not in scalar:
                continue
            if _inner(graph, name, shape, chosen, readers, views):
                chosen[name] = maker
                waiting.append(maker)


def _anchor(
    graph: Graph,
    chosen: Mapping[str, Node],
    readers: Mapping[str, list[Node]],
    makers: Mapping[str, Node],
    views: Collection[str],
    anchors: Collection[str],
) -> Node | None:
    """The dearest anchor whose value only the chosen nodes read."""
    shape = sample_shape(graph.values[next(iter(chosen))].shape)
    candidates = [
        makers[name]
        for node in chosen.values()
        for name in node.inputs
        if name in makers and makers[name].op in anchors and _inner(graph, name, shape, chosen, readers, views)
    ]
    return max(candidates, key=lambda node: macs(graph, node), default=None)


def _inner(
    graph: Graph,
    name: str,
    shape: tuple[int, ...],
    chosen: Mapping[str, Node],
    readers: Mapping[str, list[Node]],
    views: Collection[str],
) -> bool:
    """Whether the value need not be stored: of the group's shape, and read at the same index by chosen nodes only."""
    return (
        name not in graph.outputs
        and sample_shape(graph.values[name].shape) == shape
        and all(reader.output in chosen and reader.op not in views for reader in readers[name])
    )
