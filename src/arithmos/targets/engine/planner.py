"""The planner: from an integer graph to segments, each a program of the kernels or one node on the host."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace

from arithmos.ir.graph import Graph, Node, consumers, producers
from arithmos.ir.interval import Interval, narrowest_dtype, signed
from arithmos.passes.rewrite import prune
from arithmos.targets.engine.orientation import Orientation, extents, pitches
from arithmos.targets.engine.program import Program
from arithmos.targets.engine.rules import DEFERRED, RULES
from arithmos.targets.engine.step import Load, Step, Store, Tensor

INT32 = signed(32)


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """A program with the values it reads and writes as arrays, in the order of its externals."""

    program: Program
    externals: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """One node that runs as array operations."""

    node: Node

    @property
    def reads(self) -> tuple[str, ...]:
        """The values it reads."""
        return tuple(dict.fromkeys(self.node.inputs))

    @property
    def writes(self) -> tuple[str, ...]:
        """The value it makes."""
        return (self.node.output,)


Segment = Kernels | Host


class Planner:
    """A plan under construction: a class because steps gather until a node has to run on the host.

    Values are computed when something asks for them, so that a rule can take a convolution into its own steps.
    """

    def __init__(self, graph: Graph, library: ctypes.CDLL, every: bool) -> None:
        self.graph = graph
        self.every = every
        self.producers = producers(graph)
        self.segments: list[Segment] = []
        self.steps: list[Step] = []
        self._library = library
        self._readers = consumers(graph)
        self._tensors: dict[tuple[str, Orientation], Tensor] = {}
        self._externals: dict[str, int] = {}
        self._arrays: set[str] = {*graph.inputs, *graph.constants}
        self._computed: set[str] = {*graph.inputs, *graph.constants}
        self._written: list[str] = []
        self._read: list[str] = []

    def plan(self) -> tuple[Segment, ...]:
        """All segments. With `every`, one for each node, in graph order."""
        for node in self.graph.nodes:
            if self.every:
                self.array(node.output)
                self._flush()
            elif not (node.op in DEFERRED and self.is_private(node.output)) and node.output not in self._computed:
                self._compute(node.output)
        for name in self.graph.outputs:
            self.array(name)
        self._flush()
        return tuple(self.segments)

    def range(self, name: str) -> Interval:
        """The proven range of a value."""
        interval = self.graph.values[name].range
        assert interval is not None
        return interval

    def is_private(self, name: str) -> bool:
        """Whether nobody but one node will ever see the value, so that it need not exist."""
        hidden = not self.every and name not in self.graph.outputs and name in self.producers
        return hidden and len(self._readers[name]) == 1

    def is_tensor(self, name: str, orientation: Orientation) -> bool:
        """Whether the value already lies in the arena this way."""
        return (name, self._canonical(name, orientation)) in self._tensors

    def shaped(
        self, name: str, orientation: Orientation, range: Interval | None = None, compact: bool = False
    ) -> Tensor | None:
        """A new tensor for a value; None if the kernels cannot hold it."""
        size = extents(self.graph.values[name].shape, orientation)
        range = range or self.range(name)
        return Tensor(*size, range, compact) if size and range in INT32 else None

    def tensor(self, name: str, orientation: Orientation) -> Tensor | None:
        """The value in the arena, computed or loaded if need be; None if the kernels cannot hold it."""
        key = (name, self._canonical(name, orientation))
        if name in self.graph.constants or self.shaped(name, orientation) is None:
            return None
        self.ready(name)
        if key not in self._tensors:
            self.array(name)  # it lies there the other way: out and in again
            tensor = self.shaped(name, orientation)
            assert tensor is not None
            if tensor.width == 1 and tensor.channels <= 4:
                tensor = replace(tensor, compact=True)
            dtype = narrowest_dtype(tensor.range).name
            self.steps.append(Load(tensor, self._external(name), dtype, self._pitches(key)))
            self._tensors[key] = tensor
        return self._tensors[key]

    def ready(self, *names: str) -> None:
        """Compute the values now: what runs on the host ends the current program, and its tensors with it."""
        for name in names:
            if name not in self._computed:
                self._compute(name)

    def bind(self, name: str, orientation: Orientation, tensor: Tensor) -> None:
        """The value is this tensor from here on."""
        self._tensors[name, self._canonical(name, orientation)] = tensor
        self._computed.add(name)

    def array(self, name: str) -> None:
        """Make sure that the value will be an array once the current steps have run."""
        self.ready(name)
        if name in self._arrays:
            return
        key, tensor = next((k, t) for k, t in self._tensors.items() if k[0] == name)
        dtype = narrowest_dtype(self.range(name)).name
        self._written.append(name)
        self.steps.append(Store(tensor, self._external(name), dtype, self._pitches(key)))
        self._arrays.add(name)

    def _canonical(self, name: str, orientation: Orientation) -> Orientation:
        return "first" if len(self.graph.values[name].shape) == 2 else orientation

    def _pitches(self, key: tuple[str, Orientation]) -> tuple[int, int, int, int]:
        return pitches(self.graph.values[key[0]].shape, key[1])

    def _external(self, name: str) -> int:
        if name not in self._externals:
            self._externals[name] = len(self._externals)
            if name not in self._written:
                self._read.append(name)
        return self._externals[name]

    def _compute(self, name: str) -> None:
        node = self.producers[name]
        rule = RULES.get(node.op)
        if rule is not None and rule(self, node):
            assert name in self._computed, f"the rule of {node.op} did not bind {name}"
            return
        for source in dict.fromkeys(node.inputs):
            self.array(source)
        self._flush()
        self.segments.append(Host(node))
        self._arrays.add(name)
        self._computed.add(name)

    def _flush(self) -> None:
        """End the current program; what later nodes need of it is stored."""
        inside = [name for name, _ in self._tensors if name not in self._arrays]
        later = self._read_later() if inside else set()
        for name in inside:
            if name in self.graph.outputs or name in later:
                self.array(name)
        if self.steps:
            program = Program(self.steps, self._library)
            self.segments.append(Kernels(program, tuple(self._externals), tuple(self._read), tuple(self._written)))
        self.steps = []
        self._tensors.clear()
        self._externals.clear()
        self._written, self._read = [], []

    def _read_later(self) -> set[str]:
        """What the nodes read that are not computed yet and still have to be."""
        read: set[str] = set()
        for node in reversed(self.graph.nodes):
            if node.output not in self._computed and (node.output in self.graph.outputs or node.output in read):
                read.update(node.inputs)
        return read


def plan(graph: Graph, library: ctypes.CDLL | None, every: bool) -> tuple[Segment, ...]:
    """The segments that compute every value, or the outputs: then nodes that no output needs are left out.

    Without a library every node runs on the host.
    """
    needed = graph if every else prune(graph)
    if library is None:
        return tuple(Host(node) for node in needed.nodes)
    return Planner(needed, library, every).plan()
