"""The builder: the only way new nodes come into a graph, so that shapes and ranges are proven as they appear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arithmos.errors import ArithmosError, RangeError, UnsupportedNetwork
from arithmos.ir.graph import Graph, Node, OpSet, Shape, Source, Value
from arithmos.ir.interval import INT64, Interval, interval_of, narrowest_dtype
from arithmos.ir.ops import OP_SETS
from arithmos.ir.ops.op import Fact, ShapeError, expect
from arithmos.ir.scale import Scale


class Builder:
    """A graph under construction: inputs, constants and nodes are added in order, each answers with its value's name.

    A class because it has a lifetime: it grows until `graph(outputs)` freezes it.
    """

    def __init__(self, op_set: OpSet) -> None:
        self.op_set: OpSet = op_set
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []

    def fresh(self, name: str) -> str:
        """The name, or the name with the first free number behind it."""
        if name and name not in self.values:
            return name
        stem, number = name or "value", 1
        while f"{stem}.{number}" in self.values:
            number += 1
        return f"{stem}.{number}"

    def input(
        self,
        name: str,
        shape: Shape,
        range: Interval | None = None,
        scale: Scale | None = None,
        source: Source = Source(),
    ) -> str:
        """An input of the network. An integer graph needs its range."""
        assert (range is None) == (self.op_set != "int"), "integer inputs have a range, real inputs have none"
        name = self.fresh(name)
        self.values[name] = Value(name, tuple(shape), range, scale, source)
        self._inputs.append(name)
        return name

    def constant(self, name: str, array: np.ndarray, scale: Scale | None = None, source: Source = Source()) -> str:
        """A constant. Integers of an integer graph are stored in their narrowest type; the caller's array is copied."""
        array = np.asarray(array)
        interval = None
        if self.op_set == "int":
            assert array.dtype.kind in "iub", f"{name}: constants of an integer graph are integers, got {array.dtype}"
            interval = interval_of(array)
            array = array.astype(narrowest_dtype(interval))
        name = self.fresh(name)
        self.constants[name] = np.array(array, copy=True, order="C")
        self.values[name] = Value(name, array.shape, interval, scale, source)
        return name

    def add(
        self,
        op: str,
        *inputs: str,
        name: str = "",
        scale: Scale | None = None,
        source: Source = Source(),
        **attrs: Any,
    ) -> str:
        """A node: infers the shape and proves the range. Raises UnsupportedNetwork or RangeError with the source."""
        name = self.fresh(name or op)
        node = Node(op, inputs, name, attrs)
        try:
            shape, interval = prove(node, self.op_set, self.values, self.constants)
        except ShapeError as error:
            raise UnsupportedNetwork(
                f"{op} '{name}' does not fit its inputs",
                where=str(source),
                why=str(error),
                fix="check the shapes of the layers around this line",
            ) from error
        except RangeError as error:
            raise RangeError(f"{name}: {error.what}", where=str(source), why=error.why, fix=error.fix) from error
        if interval is not None and interval not in INT64:
            raise RangeError(
                f"{name}: values of '{op}' need {interval.bits} bits, int64 has 64",
                where=str(source),
                why=f"the proven range is {interval}",
                fix="quantize the inputs of this node to fewer bits",
            )
        self.values[name] = Value(name, shape, interval, scale, source)
        self._nodes.append(node)
        return name

    def graph(self, *outputs: str) -> Graph:
        """The frozen graph of everything that was added."""
        missing = [name for name in outputs if name not in self.values]
        assert not missing, f"outputs {missing} were never added"
        return Graph(self.op_set, tuple(self._nodes), self.values, self.constants, tuple(self._inputs), tuple(outputs))


def prove(
    node: Node, op_set: OpSet, values: Mapping[str, Value], constants: Mapping[str, np.ndarray]
) -> tuple[Shape, Interval | None]:
    """Shape and range of a node. Raises ShapeError, RangeError; ArithmosError for an unknown op."""
    row = OP_SETS[op_set].get(node.op)
    if row is None:
        raise ArithmosError(
            f"op '{node.op}' is not one of the {op_set} ops",
            why=f"the {op_set} op set is closed: {', '.join(sorted(OP_SETS[op_set]))}",
            fix="express the node by these ops, or load the graph with the version of arithmos that wrote it",
        )
    if op_set == "int":
        for key, attr in node.attrs.items():
            expect(_is_plain(attr), f"attribute {key} must be made of plain integers, got {attr!r}")
    try:
        shape = row.infer(*(values[name].shape for name in node.inputs), **node.attrs)
        if op_set != "int":
            return shape, None
        assert row.bound is not None
        facts = (Fact(values[n].shape, _proven(values[n]), constants.get(n)) for n in node.inputs)
        return shape, row.bound(*facts, **node.attrs)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        # Attributes or inputs of a foreign file that the op does not have, or that make no sense together.
        raise ShapeError(str(error)) from error


def _is_plain(attr: Any) -> bool:
    return all(map(_is_plain, attr)) if isinstance(attr, tuple) else attr is None or type(attr) in (int, bool)


def _proven(value: Value) -> Interval:
    expect(value.range is not None, f"'{value.name}' has no range in an integer graph")
    assert value.range is not None
    return value.range
