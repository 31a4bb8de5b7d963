"""Target `engine`: exact integers at the speed of the vector unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from arithmos.device import find_device
from arithmos.ir.graph import Graph
from arithmos.ir.ops import INT
from arithmos.targets.engine.proof import proven
from arithmos.targets.engine.runner import Execution
from arithmos.targets.target import Runner, Target


def prepare(graph: Graph, every: bool, *, backend: str = "auto", threads: int = 0) -> Runner:
    """A function from inputs to the outputs, or to every value; integers in the narrowest type of their proven range.

    backend: a row of `backend.BACKENDS`, "cuda:1", or "auto": the first that this machine has and that proves itself.
    threads: 0 for as many as this process may use; no integer depends on it.
    """
    execution = Execution(graph, proven(backend), every=every, threads=threads)
    return (lambda inputs: dict(execution.values(inputs))) if every else execution.outputs


def stream(
    graph: Graph, inputs: Mapping[str, np.ndarray], *, backend: str = "auto", threads: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Every value in graph order, inputs first. Memory: the live values and one more, never all of them."""
    return Execution(graph, proven(backend), every=True, threads=threads).values(inputs)


TARGET = Target(
    "engine", "compiled kernels for this processor, numpy and torch for the rest", INT, prepare, stream=stream
)


def on_device(device: str) -> Target:
    """The engine on a device: sums of products are computed there, exact as everywhere, and the rest by numpy.

    Raises UsageError where the device cannot be had, MissingTool without torch.
    """
    if device == "cpu":
        return TARGET
    found = find_device(device)
    if found == "cpu":  # what "auto" is without a GPU
        return TARGET
    summary = f"sums of products on {found}, numpy for the rest"
    on: dict[str, Any] = {"prepare": partial(prepare, backend=found), "stream": partial(stream, backend=found)}
    return replace(TARGET, name=f"engine@{found}", summary=summary, **on)
