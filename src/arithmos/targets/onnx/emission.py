"""An ONNX graph under construction, in plain records: the emitters know no protobuf."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interval import interval_of, narrowest_dtype
from arithmos.targets.onnx.carrier import DOUBLE, FLOAT, LIMIT, LONG
from arithmos.targets.onnx_draft import Draft
from arithmos.targets.onnx_file import OnnxNode

BEFORE_ALL = -(1 << 63)
"""The end of a Slice that runs backwards past the first element."""


class Emission(Draft):
    """A draft that knows in which tensors each value of the network is held."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._held: dict[str, dict[str, str]] = {name: {self.wire(name): name} for name in graph.inputs}

    def cast(self, tensor: str, to: str) -> str:
        """The tensor in another type."""
        return self.put("Cast", tensor, to=to)

    def integers(self, array: np.ndarray, carrier: str) -> str:
        """A constant of the network in a carrier: stored in its narrowest integer type, cast when it is loaded."""
        interval = interval_of(array)
        assert carrier not in LIMIT or interval.magnitude <= LIMIT[carrier], "the carrier must hold the constant"
        stored = narrowest_dtype(interval).name
        tensor = self.number(array, stored)
        return tensor if stored == carrier else self.cast(tensor, carrier)

    def shape(self, value: str) -> Shape:
        """The shape of a value; negative entries hold the batch."""
        return self.graph.values[value].shape

    def wire(self, value: str) -> str:
        """The integer type in which a value enters or leaves the model."""
        return narrowest_dtype(self.range(value)).name

    def read(self, value: str, carrier: str) -> str:
        """The tensor that holds a value in a carrier; one cast serves every reader."""
        held = self._held.setdefault(value, {})
        if carrier not in held:
            if carrier in LIMIT:
                assert self.range(value).magnitude <= LIMIT[carrier], f"{carrier} cannot hold {value}"
            if value in self.graph.constants:
                held[carrier] = self.integers(self.graph.constants[value], carrier)
            else:
                held[carrier] = self.cast(self._source(value), carrier)
        return held[carrier]

    def bind(self, value: str, carrier: str, tensor: str) -> None:
        """Say in which tensor a computed value is held."""
        self._held.setdefault(value, {})[carrier] = tensor

    def expose(self, value: str) -> str:
        """Make a value an output in its integer type; returns the output's name: the value's own, or with `:out`.

        A model's output may not carry the name of an input or an initializer, so those that leave unchanged get `:out`.
        """
        wire = self.wire(value)
        if value in self.graph.inputs or value in self.graph.constants:
            name = self.fresh(f"{value}:out")
            self.nodes.append(OnnxNode("Identity", (self.read(value, wire),), name))
            return name
        if wire in self._held[value]:
            self.nodes.append(OnnxNode("Identity", (self._held[value][wire],), value))
        else:
            self.nodes.append(OnnxNode("Cast", (self._source(value),), value, {"to": wire}))
        return value

    def _source(self, value: str) -> str:
        """The smallest tensor that holds a value already; a cast from any is exact, for the range fits in both."""
        held = self._held[value]
        return held[next(c for c in (FLOAT, DOUBLE, LONG, self.wire(value)) if c in held)]


def dynamic(shape: Shape) -> list[int]:
    """The shape as ONNX's Reshape takes it: at most one axis is unknown."""
    assert sum(extent < 0 for extent in shape) <= 1, f"{shape} has more than one batch axis"
    return [-1 if extent < 0 else extent for extent in shape]


def cut(e: Emission, x: str, slices: tuple[tuple[int, int, int, int], ...]) -> str:
    """Elements start, start + step, … (count of them) of each named axis; slices holds (axis, start, step, count)."""
    if not slices:
        return x
    ends = [stop if (stop := start + count * step) >= 0 else BEFORE_ALL for _, start, step, count in slices]
    axes, starts, steps, _ = zip(*slices, strict=True)
    return e.put("Slice", x, e.axes(starts), e.axes(ends), e.axes(axes), e.axes(steps))
