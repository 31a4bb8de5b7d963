"""Auxiliary values of a proof: what a prover must know beside every value, so that a verifier only checks identities.

For each node of these ops, under the node's name and a colon:

| op | value | identity that it satisfies |
|---|---|---|
| requantize | t | t = x * mul + half, half = floor(2**shift / 2) |
| | q, rem | t = q * 2**shift + rem, 0 <= rem < 2**shift |
| | negative | 1 where t < 0 |
| | clamp | -1 where q < lo, 1 where q > hi, else 0 and y = q |
| clip | clamp | -1 where x < lo, 1 where x > hi, else 0 and y = x |
| maximum | second | 1 where y = b and a < b, else 0 and y = a |
| | difference | y - a + y - b, not negative |
| shift_right | rem | x = y * 2**s + rem, 0 <= rem < 2**s |
| floor_div | rem | a = y * b + rem, 0 <= rem < b |
| isqrt | rem | x = y * y + rem, 0 <= rem <= 2 * y |
| max_pool | argmax | y is element `argmax` of its window (row-major; the first of equal ones) |
| | difference | y - each element of the window, not negative; one more axis, row-major; padding counts as the least
integer of x's range, which no element is below |
| reduce_max | argmax | y is element `argmax` of the reduced axes (row-major; the first of equal ones) |
| | difference | y - x, not negative, of the shape of x |
| argmax | maximum | the element that y names, the first of equal ones |
| | difference | maximum - x, not negative, of the shape of x |

With chunks of c bits, every q, rem and difference is followed by what a range check looks up: `q.chunks` has one more
axis, and v = lo + sum over k of chunk[k] * 2**(c * k), 0 <= chunk < 2**c, lo the least integer of v's proven range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from arithmos.errors import RangeError
from arithmos.ir.graph import Graph, Node, Shape
from arithmos.ir.interval import INT64, Interval, unsigned
from arithmos.ir.ops.arithmetic import requantize_sum

BIT = Interval(0, 1)


CHECKED = frozenset({"q", "rem", "difference"})
"""What a proof has to show the range of; the rest follows by equations, or is a flag or an index."""


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """One auxiliary value of a node: its name, its proven range, its shape (as a Value has it)."""

    name: str
    range: Interval
    shape: Shape


@dataclass(frozen=True, slots=True)
class Rule:
    """ranges(graph, node) -> {suffix: range}; values(graph, node, operands, output) -> {suffix: array}, all int64.

    shapes(graph, node) -> {suffix: shape}, where it is not the output's.
    """

    ranges: Callable[[Graph, Node], dict[str, Interval]]
    values: Callable[[Graph, Node, list[np.ndarray], np.ndarray], dict[str, np.ndarray]]
    shapes: Callable[[Graph, Node], dict[str, Shape]] = lambda graph, node: {}


def auxiliaries(graph: Graph, node: Node, *, chunks: int = 0) -> list[Auxiliary]:
    """The auxiliary values of a node, in the order in which `witness` yields them; [] for an op without any.

    chunks: the bits of one chunk, 0 for none. Raises RangeError where one does not fit into an int64.
    """
    if node.op not in WITNESS:
        return []
    rule, usual, found = WITNESS[node.op], graph.values[node.output].shape, []
    shapes = rule.shapes(graph, node)
    for suffix, interval in rule.ranges(graph, node).items():
        name, shape = f"{node.output}:{suffix}", shapes.get(suffix, usual)
        if interval not in INT64:
            raise RangeError(
                f"the witness '{name}' needs {interval.bits} bits, int64 has 64",
                where=str(graph.values[node.output].source),
                why=f"its proven range is {interval}",
                fix="dump without the witness, or quantize to fewer bits",
            )
        found.append(Auxiliary(name, interval, shape))
        if chunks and suffix in CHECKED:
            span = unsigned(min(chunks, (interval.hi - interval.lo).bit_length()))
            found.append(Auxiliary(f"{name}.chunks", span, (*shape, n_chunks(interval, chunks))))
    return found


def n_chunks(interval: Interval, bits: int) -> int:
    """How many chunks of so many bits hold v - lo for every v of the interval; at least one."""
    return max(1, -(-(interval.hi - interval.lo).bit_length() // bits))


def chunked(array: np.ndarray, interval: Interval, bits: int) -> np.ndarray:
    """v - lo in chunks of so many bits, the least significant first, along a new last axis."""
    above = array.astype(np.uint64) - np.uint64(interval.lo % (1 << 64))  # modulo 2**64: below it, as hi - lo is
    shifts = (bits * np.arange(n_chunks(interval, bits))).astype(np.uint64)
    return ((above[..., None] >> shifts) & np.uint64((1 << bits) - 1)).astype(np.int64)


def witness(
    graph: Graph, values: Iterator[tuple[str, np.ndarray]], *, chunks: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
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
            ranges = WITNESS[node.op].ranges(graph, node)
            for suffix, found in WITNESS[node.op].values(graph, node, exact, array.astype(np.int64)).items():
                yield f"{name}:{suffix}", found
                if chunks and suffix in CHECKED:
                    yield f"{name}:{suffix}.chunks", chunked(found, ranges[suffix], chunks)
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
    return {"t": t, "q": q, "rem": unsigned(shift), "negative": BIT, "clamp": _clamp_range(q, lo, hi)}


def _clamp_range(q: Interval, lo: int, hi: int) -> Interval:
    return Interval(-1 if q.lo < lo else 1 if q.lo > hi else 0, 1 if q.hi > hi else -1 if q.hi < lo else 0)


def _requantize(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    x, *mul = operands
    shift = node.attrs["shift"]
    t = (x * mul[0] if mul else x) + ((1 << shift) >> 1)
    q = t >> shift
    clamp = _clamp(q, node.attrs["lo"], node.attrs["hi"])
    return {"t": t, "q": q, "rem": t - (q << shift), "negative": (t < 0).astype(np.int64), "clamp": clamp}


def _clamp(q: np.ndarray, lo: int, hi: int) -> np.ndarray:
    return np.asarray((q > hi).astype(np.int64) - (q < lo))


def _clip_sides(graph: Graph, node: Node) -> tuple[Interval, int, int]:
    """(range of x, lo, hi), an open side put where x cannot be beyond it."""
    x, lo, hi = _range(graph, node.inputs[0]), node.attrs["lo"], node.attrs["hi"]
    return x, x.lo if lo is None else lo, x.hi if hi is None else hi


def _clip(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    _, lo, hi = _clip_sides(graph, node)
    return {"clamp": _clamp(operands[0], lo, hi)}


def _maximum_ranges(graph: Graph, node: Node) -> dict[str, Interval]:
    a, b = (_range(graph, name) for name in node.inputs)
    return {"second": BIT, "difference": Interval(0, max(a.hi - b.lo, b.hi - a.lo))}


def _maximum(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    a, b = operands
    return {"second": (a < b).astype(np.int64), "difference": np.abs(a - b)}


def _shift_right(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    x, s = operands
    return {"rem": x - (y << s)}


def _floor_div(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    a, b = operands
    return {"rem": a - y * b}


def _isqrt(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    return {"rem": operands[0] - y * y}


def _max_pool(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    """Tap by tap from the last to the first, so that the first tap that equals the maximum stays."""
    (x,), at = operands, node.attrs
    padded = np.pad(x, ((0, 0), (0, 0), *at["padding"]), constant_values=_range(graph, node.inputs[0]).lo)
    inside = np.pad(np.ones(x.shape[2:], dtype=bool), at["padding"])
    argmax = np.zeros(y.shape, dtype=np.int64)
    difference = np.empty((*y.shape, math.prod(at["kernel"])), dtype=np.int64)
    for number, tap in reversed(list(enumerate(product(*(range(k) for k in at["kernel"]))))):
        window = tuple(slice(t, t + n * s, s) for t, s, n in zip(tap, at["stride"], y.shape[2:], strict=True))
        taken = tuple(slice(0, n) for n in y.shape[2:])
        element = padded[(slice(None), slice(None), *window)][(slice(None), slice(None), *taken)]
        argmax[(element == y) & inside[window][taken]] = number
        difference[..., number] = y - element
    return {"argmax": argmax, "difference": difference}


def _max_pool_ranges(graph: Graph, node: Node) -> dict[str, Interval]:
    last = math.prod(node.attrs["kernel"]) - 1
    return {"argmax": Interval(0, last), "difference": _width(graph, node)}


def _reduce_max(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    (x,), axes = operands, sorted(node.attrs["axes"])
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    argmax = moved.reshape(*moved.shape[: -len(axes)], -1).argmax(axis=-1).reshape(y.shape)
    return {"argmax": argmax, "difference": (y if node.attrs["keepdims"] else np.expand_dims(y, axes)) - x}


def _reduce_max_ranges(graph: Graph, node: Node) -> dict[str, Interval]:
    shape = graph.values[node.inputs[0]].shape
    last = math.prod(shape[axis] for axis in node.attrs["axes"]) - 1
    return {"argmax": Interval(0, last), "difference": _width(graph, node)}


def _argmax(graph: Graph, node: Node, operands: list[np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    (x,), axis = operands, node.attrs["axis"]
    return {"maximum": x.max(axis=axis), "difference": x.max(axis=axis, keepdims=True) - x}


def _argmax_ranges(graph: Graph, node: Node) -> dict[str, Interval]:
    return {"maximum": _range(graph, node.inputs[0]), "difference": _width(graph, node)}


def _width(graph: Graph, node: Node) -> Interval:
    x = _range(graph, node.inputs[0])
    return Interval(0, x.hi - x.lo)


def _of_window(graph: Graph, node: Node) -> dict[str, Shape]:
    return {"difference": (*graph.values[node.output].shape, math.prod(node.attrs["kernel"]))}


def _of_operand(graph: Graph, node: Node) -> dict[str, Shape]:
    return {"difference": graph.values[node.inputs[0]].shape}


WITNESS: dict[str, Rule] = {
    "requantize": Rule(_requantize_ranges, _requantize),
    "clip": Rule(lambda g, n: {"clamp": _clamp_range(*_clip_sides(g, n))}, _clip),
    "maximum": Rule(_maximum_ranges, _maximum),
    "shift_right": Rule(lambda g, n: {"rem": unsigned(_range(g, n.inputs[1]).hi)}, _shift_right),
    "floor_div": Rule(lambda g, n: {"rem": Interval(0, _range(g, n.inputs[1]).hi - 1)}, _floor_div),
    "isqrt": Rule(lambda g, n: {"rem": Interval(0, 2 * _range(g, n.output).hi)}, _isqrt),
    "max_pool": Rule(_max_pool_ranges, _max_pool, _of_window),
    "reduce_max": Rule(_reduce_max_ranges, _reduce_max, _of_operand),
    "argmax": Rule(_argmax_ranges, _argmax, _of_operand),
}
"""op -> its auxiliary values."""
