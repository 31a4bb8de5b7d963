"""The map beside the files: which wires hold which value, which constraints are whose. JSON, and enough to name a
failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from arithmos.ir.codec import digest
from arithmos.targets.one_sample import one_sample
from arithmos.targets.zk.circuit import Circuit, size
from arithmos.targets.zk.combination import Combination, Signal
from arithmos.targets.zk.field import NAME
from arithmos.targets.zk.system import Block
from arithmos.targets.zk.versioned import SCHEMA, Port


def ports(circuit: Circuit) -> list[Port]:
    """Every value on the border in the order of the wires: outputs (where they are public), inputs."""
    found, first = [], 1
    graph = circuit.graph
    shown = [("output", name) for name in graph.outputs] if "output" in circuit.public else []
    for role, name in [*shown, *(("input", name) for name in graph.inputs)]:
        value = graph.values[name]
        assert value.range is not None
        span = (value.range.lo, value.range.hi)
        found.append(Port(name, role, first, one_sample(value.shape), span, role in circuit.public))
        first += size(graph, name)
    return found


class Rows:
    """The constraints of a file by block, noted while they are written. A class: it counts."""

    def __init__(self) -> None:
        self.blocks: list[list[Any]] = []
        self._n = 0

    def add(self, block: Block) -> None:
        """Note a block: [first constraint, how many, value, gadget, per element, runs of elements]."""
        n, label = len(block.a), block.label
        elements = np.arange(n // block.per) if label.elements is None else label.elements
        self.blocks.append([self._n, n, label.value, label.gadget, block.per, runs(elements)])
        self._n += n


def runs(numbers: np.ndarray) -> list[list[int]]:
    """[first, count] for each stretch of numbers that follow one another."""
    if not numbers.size:
        return []
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    starts = np.concatenate([[0], cuts])
    counts = np.diff(np.concatenate([starts, [numbers.size]]))
    return [[int(numbers[s]), int(n)] for s, n in zip(starts, counts, strict=True)]


def wires_of(values: Mapping[str, Signal]) -> dict[str, list[list[int]]]:
    """{value: [[element, wire, how many], …]} for values that are wires one by one."""
    found = {}
    for name, x in values.items():
        assert isinstance(x, Combination)
        if len(x) != x.wires.size or x.constant.any() or (x.coefficients != 1).any() or (x.counts != 1).any():
            continue  # a combination of several wires
        offsets = x.wires - np.arange(len(x))
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(offsets)) + 1, [len(x)]])
        found[name] = [[int(a), int(x.wires[a]), int(b - a)] for a, b in pairwise(cuts)]
    return found


def document(
    circuit: Circuit, rows: Rows, values: Mapping[str, Signal], n_nonzeros: int, **facts: Any
) -> dict[str, Any]:
    """The map of a circuit that was written."""
    return {
        "schema": SCHEMA,
        "circuit": digest(circuit.graph),
        "field": NAME,
        **facts,
        "public": list(circuit.public),
        "n_wires": circuit.n_wires,
        "n_constraints": circuit.n_constraints,
        "n_nonzeros": n_nonzeros,
        "ports": [asdict(port) for port in ports(circuit)],
        "values": wires_of(values),
        "constraints": rows.blocks,
        "shapes": {
            node.output: list(one_sample(circuit.graph.values[node.output].shape)) for node in circuit.graph.nodes
        },
    }


def named(map_: Mapping[str, Any], constraint: int) -> str:
    """Whose constraint this is: "relu.1, requantize, element (3, 0, 5), constraint 1234"."""
    for first, n, value, gadget, per, stretches in map_["constraints"]:
        if first <= constraint < first + n:
            place = (constraint - first) // per
            for start, count in stretches:
                if place < count:
                    shape = map_["shapes"].get(value) or next(
                        (port["shape"] for port in map_["ports"] if port["value"] == value), None
                    )
                    element = start + place
                    inside = shape and element < int(np.prod(shape)) and gadget != "maximum of rows"
                    at = tuple(int(i) for i in np.unravel_index(element, shape)) if shape and inside else element
                    return f"{value}, {gadget}, element {at}, constraint {constraint}"
                place -= count
    return f"constraint {constraint}"
