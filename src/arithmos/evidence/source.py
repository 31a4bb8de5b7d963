"""Where the values of a dump come from: a runner that yields them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.targets.target import find, preflight


def stream(graph: Graph, inputs: Mapping[str, np.ndarray], target: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every value that the target shows, in graph order. A target without a stream computes all of them first.

    Raises UsageError for an unknown target, UnsupportedNetwork listing every node it lacks, MissingTool.
    """
    found = find(target)
    preflight(graph, found)
    if found.stream is not None:
        yield from found.stream(graph, inputs)
        return
    values = found.prepare(graph, True)(inputs)
    for name in (*graph.inputs, *(node.output for node in graph.nodes)):
        if name in values:
            yield name, values.pop(name)
