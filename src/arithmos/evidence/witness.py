"""Auxiliary values of a proof: what a prover must know beside every value, so that a verifier only checks identities.

For each node of these ops, under the node's name and a colon:

| op | value | identity that it satisfies |
|---|---|---|
| requantize | t | t = x * mul + half, half = floor(2**shift / 2) |
| | q, rem | t = q * 2**shift + rem, 0 <= rem < 2**shift |
| | negative | 1 where t < 0 |
| | clamp | -1 where q < lo, 1 where q > hi, else 0 and y = q |
| shift_right | rem | x = y * 2**s + rem, 0 <= rem < 2**s |
| floor_div | rem | a = y * b + rem, 0 <= rem < b |
| isqrt | rem | x = y * y + rem, 0 <= rem <= 2 * y |
| max_pool | argmax | y is element `argmax` of its window (row-major; the first of equal ones) |
| reduce_max | argmax | y is element `argmax` of the reduced axes (row-major; the first of equal ones) |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval, unsigned
from arithmos.ir.ops.arithmetic import requantize_sum

BIT = Interval(0, 1)


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """One auxiliary value of a node, of the shape of the node's output: its name and its proven range."""

    name: str
    range: Interval


@dataclass(frozen=True, slots=True)
class Rule:
    """ranges(graph, node) -> {suffix: range}; values(operands, output, attrs) -> {suffix: array}, all int64."""

    ranges: Callable[[Graph, Node], dict[str, Interval]]
    values: Callable[..., dict[str, np.ndarray]]


def auxiliaries(graph: Graph, node: Node) -> list[Auxiliary]:
    """The auxiliary values of a node, in the order in which `witness` yields them; [] for an op without any."""
    if node.op not in WITNESS:
        return []
    return [Auxiliary(f"{node.output}:{name}", r) for name, r in WITNESS[node.op].ranges(graph, node).items()]


def witness(graph: Graph, values: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """The values, each followed by its auxiliary ones. Holds the operands that a later node of WITNESS still needs."""
    made = {node.output: node for node in graph.nodes}
    waiting: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.inputs if node.op in WITNESS else ():
            waiting[name] = waiting.get(name, 0) + 1
    live: dict[str, np.ndarray] = {}
    for name, array in values:
        yield name, array
        if name in waiting:
            live[name] = array
        if name in made and made[name].op in WITNESS:
            node = made[name]
            operands = [live[n] if n in live else graph.constants[n] for n in node.inputs]
            exact = [operand.astype(np.int64) for operand in operands]
            for suffix, found in WITNESS[node.op].values(exact, array.astype(np.int64), node.attrs).items():
                yield f"{name}:{suffix}", found
            for operand in node.inputs:
                waiting[operand] -= 1
                if waiting[operand] == 0:
                    live.pop(operand, None)


def _range(graph: Graph, name: str) -> Interval:
    interval = graph.values[name].range
    assert interval is not None, "only integer graphs have a witness"
    return interval


def _requantize_ranges(graph: Graph, node: Node) -> dict[str, Interval]:
    shift, lo, hi = node.attrs["shift"], node.attrs["lo"], node.attrs["hi"]
    mul = graph.constants[node.inputs[1]] if len(node.inputs) > 1 else None
    t = requantize_sum(_range(graph, node.inputs[0]), mul, shift)
    q = Interval(t.lo >> shift, t.hi >> shift)
    clamp = Interval(-1 if q.lo < lo else 1 if q.lo > hi else 0, 1 if q.hi > hi else -1 if q.hi < lo else 0)
    return {"t": t, "q": q, "rem": unsigned(shift), "negative": BIT, "clamp": clamp}


def _requantize(operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, int]) -> dict[str, np.ndarray]:
    x, *mul = operands
    shift = attrs["shift"]
    t = (x * mul[0] if mul else x) + ((1 << shift) >> 1)
    q = t >> shift
    clamp = (q > attrs["hi"]).astype(np.int64) - (q < attrs["lo"])
    return {"t": t, "q": q, "rem": t - (q << shift), "negative": (t < 0).astype(np.int64), "clamp": clamp}


def _shift_right(operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, int]) -> dict[str, np.ndarray]:
    x, s = operands
    return {"rem": x - (y << s)}


def _floor_div(operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, int]) -> dict[str, np.ndarray]:
    a, b = operands
    return {"rem": a - y * b}


def _isqrt(operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, int]) -> dict[str, np.ndarray]:
    return {"rem": operands[0] - y * y}


def _max_pool(operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tap by tap from the last to the first, so that the first tap that equals the maximum stays."""
    (x,), kernel, stride = operands, attrs["kernel"], attrs["stride"]
    padded = np.pad(x, ((0, 0), (0, 0), *attrs["padding"]))
    inside = np.pad(np.ones(x.shape[2:], dtype=bool), attrs["padding"])
    found = np.zeros(y.shape, dtype=np.int64)
    for number, tap in reversed(list(enumerate(product(*(range(k) for k in kernel))))):
        window = tuple(slice(t, t + n * s, s) for t, s, n in zip(tap, stride, y.shape[2:], strict=True))
        taken = tuple(slice(0, n) for n in y.shape[2:])
        element = padded[(slice(None), slice(None), *window)][(slice(None), slice(None), *taken)]
        found[(element == y) & inside[window][taken]] = number
    return {"argmax": found}


def _reduce_max(
    operands: list[np.ndarray], y: np.ndarray, attrs: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    (x,), axes = operands, sorted(attrs["axes"])
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    return {"argmax": moved.reshape(*moved.shape[: -len(axes)], -1).argmax(axis=-1).reshape(y.shape)}


def _reduced(graph: Graph, node: Node) -> dict[str, Interval]:
    shape = graph.values[node.inputs[0]].shape
    return {"argmax": Interval(0, math.prod(shape[axis] for axis in node.attrs["axes"]) - 1)}


WITNESS: dict[str, Rule] = {
    "requantize": Rule(_requantize_ranges, _requantize),
    "shift_right": Rule(lambda g, n: {"rem": unsigned(_range(g, n.inputs[1]).hi)}, _shift_right),
    "floor_div": Rule(lambda g, n: {"rem": Interval(0, _range(g, n.inputs[1]).hi - 1)}, _floor_div),
    "isqrt": Rule(lambda g, n: {"rem": Interval(0, 2 * _range(g, n.output).hi)}, _isqrt),
    "max_pool": Rule(lambda g, n: {"argmax": Interval(0, math.prod(n.attrs["kernel"]) - 1)}, _max_pool),
    "reduce_max": Rule(_reduced, _reduce_max),
}
"""op -> its auxiliary values."""
