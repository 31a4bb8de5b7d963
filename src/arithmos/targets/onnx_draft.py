"""An ONNX graph under construction, in plain records: what every target that writes one needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import Interval
from arithmos.targets.onnx_file import OnnxNode


class Draft:
    """Collects nodes and initializers under names that nothing else has.

    A class because it has a lifetime: it grows until the model is written.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[OnnxNode] = []
        self.initializers: dict[str, np.ndarray] = {}
        self._numbers: dict[tuple[str, Shape, bytes], str] = {}
        self._taken: set[str] = set(graph.values)
        self._prefix = ""

    def start(self, value: str) -> None:
        """Name the tensors that follow after this value."""
        self._prefix = value

    def fresh(self, stem: str) -> str:
        """A tensor name that nothing has yet."""
        number, name = 0, stem
        while name in self._taken:
            number += 1
            name = f"{stem}.{number}"
        self._taken.add(name)
        return name

    def put(self, op: str, *inputs: str, **attrs: Any) -> str:
        """Add a node and return its output; trailing inputs that are "" are left out."""
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        name = self.fresh(f"{self._prefix}/{op.lower()}")
        self.nodes.append(OnnxNode(op, inputs, name, attrs))
        return name

    def number(self, array: Any, dtype: str) -> str:
        """An initializer of exactly this type; equal ones are stored once."""
        given = np.asarray(array, dtype=dtype)
        key = (dtype, given.shape, given.tobytes())
        if key not in self._numbers:
            self._numbers[key] = self.fresh("number")
            self.initializers[self._numbers[key]] = given
        return self._numbers[key]

    def axes(self, entries: Iterable[int]) -> str:
        """A one-dimensional int64 initializer: shapes, axes, margins."""
        return self.number(list(entries), "int64")

    def range(self, value: str) -> Interval:
        """The proven range of a value of the network."""
        found = self.graph.values[value].range
        assert found is not None, "targets run integer graphs"
        return found
