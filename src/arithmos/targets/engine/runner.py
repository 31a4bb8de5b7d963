"""The runner: a plan executed on arrays, whole or value by value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from arithmos.ir.border import batch_size
from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import narrowest_dtype
from arithmos.targets.engine.backend import Backend
from arithmos.targets.engine.host import run_node
from arithmos.targets.engine.planner import Kernels, Segment, plan


class Execution:
    """A planned graph: a class because it owns the packed programs."""

    def __init__(self, graph: Graph, backend: Backend, *, every: bool, threads: int = 0) -> None:
        self._graph = graph
        self._backend = backend
        self._threads = threads or _cores()
        self._segments = plan(graph, backend.library, every)
        self._dead = _dead_after(self._segments, graph)

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The network's outputs by name, in their narrowest types."""
        kept = {name: array for name, array in self.values(inputs) if name in self._graph.outputs}
        return {name: kept[name] for name in self._graph.outputs}

    def values(self, inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """Every value that the plan makes, inputs first, constant outputs last; dropped after its last reader."""
        graph = self._graph
        live = {name: np.asarray(inputs[name], dtype=self._dtype(name), order="C") for name in graph.inputs}
        sizes = (batch_size(graph.values[name].shape, array.shape) for name, array in live.items())
        images = next((size for size in sizes if size is not None), 1)
        yield from live.items()
        for segment, dead in zip(self._segments, self._dead, strict=True):
            if isinstance(segment, Kernels):
                live |= {name: self._empty(name, images) for name in segment.writes}
                segment.program.run([live[name] for name in segment.externals], images, self._threads)
            else:
                operands = [live[n] if n in live else graph.constants[n] for n in segment.node.inputs]
                live[segment.node.output] = run_node(graph, segment.node, operands, self._backend.product)
            yield from [(name, live[name]) for name in segment.writes]
            for name in dead:
                live.pop(name, None)
        yield from [(name, graph.constants[name]) for name in dict.fromkeys(graph.outputs) if name in graph.constants]

    def _empty(self, name: str, images: int) -> np.ndarray:
        return np.empty(actual(self._graph.values[name].shape, images), dtype=self._dtype(name))

    def _dtype(self, name: str) -> np.dtype:
        interval = self._graph.values[name].range
        assert interval is not None
        return narrowest_dtype(interval)


def _cores() -> int:
    """The processors this process may use, where the system says so, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def actual(shape: Shape, images: int) -> tuple[int, ...]:
    """The shape for this many images."""
    return tuple(-e * images if e < 0 else e for e in shape)


def _dead_after(segments: Sequence[Segment], graph: Graph) -> list[list[str]]:
    """For each segment, the values that nobody reads after it."""
    dead: list[list[str]] = [[] for _ in segments]
    seen: set[str] = set(graph.constants)
    for i in range(len(segments) - 1, -1, -1):
        for name in (*segments[i].reads, *segments[i].writes):
            if name not in seen:
                seen.add(name)
                dead[i].append(name)
    return dead
