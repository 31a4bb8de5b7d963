"""Where the values of a dump come from: a runner that yields them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from arithmos.ir.graph import Graph
from arithmos.ir.interpret import interpret
from arithmos.targets import engine
from arithmos.targets.target import find, preflight

Stream = Callable[[Graph, Mapping[str, np.ndarray]], Iterator[tuple[str, np.ndarray]]]
"""(graph, inputs as the network takes them) -> every value in graph order, inputs first; no array changes later."""

STREAMS: dict[str, Stream] = {"interpreter": interpret, "engine": engine.stream}
"""Targets that yield a value when it is computed and forget it after its last reader."""


def stream(graph: Graph, inputs: Mapping[str, np.ndarray], target: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every value that the target shows, in graph order. A target without a stream computes all of them first.

    Raises UsageError for an unknown target, UnsupportedNetwork listing every node it lacks, MissingTool.
    """
    found = find(target)
    preflight(graph, found)
    if target in STREAMS:
        yield from STREAMS[target](graph, inputs)
        return
    values = found.prepare(graph, True)(inputs)
    for name in (*graph.inputs, *(node.output for node in graph.nodes)):
        if name in values:
            yield name, values.pop(name)
