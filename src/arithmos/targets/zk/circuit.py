"""An integer network as a constraint system: planned once, then written as constraints, or as a witness for an input.

Wire 0 is 1. Then come the wires of the public values and of the inputs, in the order iden3's format wants (public
outputs, public inputs, private inputs), then those of the gadgets, node after node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, spent_after
from arithmos.targets.one_sample import one_sample
from arithmos.targets.zk.affine import AFFINE, is_affine
from arithmos.targets.zk.bounds import bounds
from arithmos.targets.zk.combination import Combination, Extent, Signal, constants, gathered
from arithmos.targets.zk.gadgets.domain import check_domain
from arithmos.targets.zk.place import Bounds, Place
from arithmos.targets.zk.rules import GADGETS
from arithmos.targets.zk.system import Assignment, Block, Constraints, Label, System, zero
from arithmos.targets.zk.tally import Count, Tally

REUSED_TERMS, GADGET_TERMS = 2, 200
"""A combination of more terms than this becomes a wire before an op that reads it often, or before a gadget, which
would write it twice: one constraint against many non-zeros."""

_REUSING = frozenset({"conv", "linear", "matmul", "mul", "sum_pool", "reduce_sum"})


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """A planned circuit. graph: what is proved; public: which of "input", "output" a verifier is shown; wired: the
    elements of each value that get wires of their own; counts: (value, gadget) -> what it costs."""

    graph: Graph
    public: tuple[str, ...]
    bounds: Mapping[str, Bounds]
    wired: Mapping[str, np.ndarray]
    counts: Mapping[tuple[str, str], Count]

    @property
    def n_constraints(self) -> int:
        """Constraints in all."""
        return sum(count.constraints for count in self.counts.values())

    @property
    def n_wires(self) -> int:
        """Wires in all, the number 1 among them."""
        return 1 + sum(count.wires for count in self.counts.values())

    @property
    def n_public(self) -> tuple[int, int]:
        """Public outputs and public inputs."""
        sizes = [sum(size(self.graph, name) for name in names) for names in (self.graph.outputs, self.graph.inputs)]
        return sizes[0] if "output" in self.public else 0, sizes[1] if "input" in self.public else 0


def size(graph: Graph, name: str) -> int:
    """Elements of a value for one sample."""
    return math.prod(one_sample(graph.values[name].shape))


def planned(graph: Graph, public: tuple[str, ...] = ("output",)) -> Circuit:
    """The circuit of a graph: bounds of every element, what becomes a wire, and what each gadget costs."""
    found, tally = bounds(graph), Tally()
    wired: dict[str, np.ndarray] = {}
    readers: dict[str, set[str]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            affine = is_affine(Place(graph, node, found))
            readers.setdefault(name, set()).add("reused" if node.op in _REUSING else "moved" if affine else "gadget")

    def keep(name: str, x: Signal) -> np.ndarray:
        assert isinstance(x, Extent)
        by = readers.get(name, set())
        most = REUSED_TERMS if "reused" in by else GADGET_TERMS if "gadget" in by else x.terms.max(initial=0)
        wired[name] = np.flatnonzero(x.terms > most)
        return wired[name]

    draft = Circuit(graph, public, found, {}, {})
    ports = _ports(draft, tally.new, tally)
    _run(draft, tally, *ports, keep, lambda array: Extent(np.zeros(array.size, np.int64)))
    return Circuit(graph, public, found, wired, tally.counts)


def constrain(circuit: Circuit, sink: Callable[[Block], None], *, every: bool = False) -> dict[str, Signal]:
    """Every constraint, block by block, to the sink. By name, the values that are wires (`every`: all combinations)."""
    system = Constraints(sink)
    ports = _ports(circuit, system.new, system)
    return _run(circuit, system, *ports, lambda name, x: circuit.wired[name], constants, every=every)


def _ports(
    circuit: Circuit, new: Callable[[int], Signal], system: System
) -> tuple[list[tuple[str, Signal]], dict[str, Signal]]:
    """Wires of public outputs (in order: a value may be shown twice), then those of the inputs by name."""
    graph = circuit.graph
    shown: list[tuple[str, Signal]] = []
    for name in graph.outputs if "output" in circuit.public else ():
        system.label = Label(name, "output")
        shown.append((name, new(size(graph, name))))
    given = {}
    for name in graph.inputs:
        system.label = Label(name, "input")
        given[name] = new(size(graph, name))
    return shown, given


def _run(
    circuit: Circuit,
    system: System,
    shown: list[tuple[str, Signal]],
    given: dict[str, Signal],
    keep: Callable[[str, Signal], np.ndarray],
    constant: Callable[[np.ndarray], Signal],
    *,
    every: bool = False,
) -> dict[str, Signal]:
    """All gadgets in order. Values are dropped after their last reader, unless `every`."""
    graph = circuit.graph
    live = dict(given)
    results: dict[str, Signal] = dict(given)
    _domains(circuit, system, live)
    spent = spent_after(graph, keep=graph.outputs)
    for node in graph.nodes:
        place = Place(graph, node, circuit.bounds)
        operands = [live[n] if n in live else constant(graph.constants[n]) for n in node.inputs]
        x = made(system, place, operands)
        if (rows := keep(node.output, x)).size:
            system.label = Label(node.output, "wire", rows)
            rest = np.setdiff1d(np.arange(len(x)), rows, assume_unique=True)
            x = gathered([system.wire(x[rows]), x[rest]], [rows, rest])
        live[node.output] = x
        if every or _wires_alone(x):
            results[node.output] = x
        for name in spent[node.output]:
            live.pop(name, None)
    for name, wires in shown:
        system.label = Label(name, "output")
        _equal(system, live[name] if name in live else constant(graph.constants[name]), wires)
    return results


def made(system: System, place: Place, operands: list[Signal]) -> Signal:
    """The node's value, by its affine rule or its gadget."""
    if is_affine(place):
        return AFFINE[place.node.op](place, operands)
    gadget, rule = GADGETS[place.node.op]
    system.label = Label(place.node.output, gadget)
    return rule(system, place, operands)


def _domains(circuit: Circuit, system: System, live: Mapping[str, Signal]) -> None:
    for name in circuit.graph.inputs if "input" not in circuit.public else ():
        interval = circuit.graph.values[name].range
        assert interval is not None
        system.label = Label(name, "domain")
        check_domain(system, live[name], interval.lo, interval.hi)


def _equal(system: System, x: Signal, wires: Signal) -> None:
    nothing: Signal = zero(len(x)) if isinstance(x, Combination) else Extent(np.zeros(len(x), np.int64))
    system.require(nothing, nothing, x - wires)


def _wires_alone(x: Signal) -> bool:
    return isinstance(x, Combination) and len(x) == x.wires.size and not x.constant.any()


def assign(circuit: Circuit, values: Iterator[tuple[str, np.ndarray]], sink: Callable[[np.ndarray], None]) -> None:
    """What every wire holds, in the order of the wires, to the sink; each gadget's result is compared with the
    network's.

    values: every value of one sample, by any runner, in graph order. They are what linear ops are taken from.
    """
    graph, system = circuit.graph, Assignment(sink)
    seen: dict[str, np.ndarray] = {}
    for name, array in values:
        seen[name] = array.astype(np.int64).reshape(-1)
    for name in graph.outputs if "output" in circuit.public else ():
        sink(seen[name] if name in seen else graph.constants[name].astype(np.int64).reshape(-1))
    for name in graph.inputs:
        sink(seen[name])
    _domains(circuit, system, seen)
    spent = spent_after(graph)
    for node in graph.nodes:
        place = Place(graph, node, circuit.bounds)
        if not is_affine(place):
            operands = [seen[n] if n in seen else graph.constants[n].astype(np.int64).reshape(-1) for n in node.inputs]
            x = made(system, place, operands)
            assert np.array_equal(x, seen[node.output]), f"the gadget of {node.output} differs from the network"
        sink(seen[node.output][circuit.wired[node.output]])
        for name in spent[node.output]:
            seen.pop(name, None)
