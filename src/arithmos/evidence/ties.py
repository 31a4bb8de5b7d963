"""Inputs on which a rounding is a tie: where floor(x + 1/2) and every other rounding rule part.

requantize rounds t = acc * mul / 2**shift. A tie is an acc with t = k + 1/2 exactly: acc * mul = 2**(shift-1) modulo
2**shift. With mul = 2**z * odd that is acc = 2**(shift-1-z) * odd: the more trailing zeros in mul, the denser. Where
the accumulator's range holds none, the accumulators whose t comes closest to k + 1/2 are taken: on them, a runner with
too few digits shows.

How an input is found: a requantize whose accumulator is a convolution or linear layer of a network input is linear in
a patch of it. From random integers, the elements of the patch are moved one after the other, largest weight first,
each by the rounded quotient of what is missing; what remains is below the smallest weight, and two elements that make
it up by a step of one each are looked for. If there are none, it starts again. The patches of one sample do not
overlap. Deeper layers are reached by no search: their ties are counted (count_ties) on everything that a verification
runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np

from arithmos.ir.graph import Graph, Node, producers
from arithmos.ir.interval import Interval
from arithmos.ir.ops.window import window_count

TRIES = 20
"""Random starts for one patch before its best attempt is kept."""

PAIRED = 256
"""Elements of a patch among which a pair is looked for: its time and memory grow with their square."""

PATCHES = 64
"""Patches in one sample at most."""

CANDIDATES = 1 << 20
"""Accumulators around 0 that are searched for ties; wider ranges are searched this far."""

TARGETS = 32
"""Different accumulators aimed at for each channel."""


def count_ties(graph: Graph, values: Mapping[str, np.ndarray]) -> dict[str, int]:
    """For each requantize with a shift: how many accumulators are exact ties between two results in its range."""
    counts = {}
    for node in graph.nodes:
        if node.op == "requantize" and node.attrs["shift"] and node.inputs[0] in values:
            acc = values[node.inputs[0]].astype(np.int64)
            mul = _multiplier(graph, node)
            counts[node.output] = int((_distance(acc, mul, node) == 0).sum())
    return counts


def can_tie(graph: Graph) -> bool:
    """Whether `add_ties` has something to do: every input is a batch of samples, and one of the first layers rounds."""
    leading = all(graph.values[name].shape[:1] == (-1,) for name in graph.inputs)
    return bool(graph.inputs) and leading and any(True for _ in first_layers(graph))


def add_ties(graph: Graph, inputs: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Change samples of `inputs` in place so that roundings of the first layers become ties (see the module's page).

    inputs: int64, samples along the first axis. Sample i serves the i-th of the first layers, round and round.
    """
    layers = list(first_layers(graph))
    known: dict[tuple[str, int], list[int]] = {}
    for i in range(next(iter(inputs.values())).shape[0]):
        node, linear = layers[i % len(layers)]
        name = linear.inputs[0] if linear else node.inputs[0]
        x, interval = inputs[name][i], graph.values[name].range
        assert interval is not None, "corpora are made for integer graphs"
        if linear is None:
            _aim_elements(graph, node, x, interval, rng)
            continue
        weight, *bias = (graph.constants[constant].astype(np.int64) for constant in linear.inputs[1:])
        for view, channel in _patches(graph, linear, x, rng):
            offset = int(bias[0][channel]) if bias else 0
            if (node.output, channel) not in known:
                mul = _channel_multiplier(graph, node, linear, channel)
                known[node.output, channel] = targets(node, mul, _reach(weight[channel], offset, interval))
            if goals := known[node.output, channel]:
                goal = goals[int(rng.integers(len(goals)))]
                view[...] = solve(weight[channel], goal - offset, interval, rng).reshape(view.shape)


def first_layers(graph: Graph) -> Iterator[tuple[Node, Node | None]]:
    """Each requantize of an input, or of a convolution or linear layer of an input (with that layer)."""
    made = producers(graph)
    for node in graph.nodes:
        if node.op != "requantize" or not node.attrs["shift"]:
            continue
        source = node.inputs[0]
        if source in graph.inputs:
            yield node, None
        elif source in made and made[source].op in ("conv", "linear") and made[source].inputs[0] in graph.inputs:
            yield node, made[source]


def targets(node: Node, mul: int, reach: Interval) -> list[int]:
    """The accumulators within reach whose rounding is closest to a tie between two results in the output range.

    Exact ties only, where there are any; at most TARGETS of them, those nearest to 0 (the easiest to reach).
    """
    half = CANDIDATES // 2
    lo, hi = max(reach.lo, -half), min(reach.hi, half)
    if lo > hi:
        return []
    candidates = np.arange(lo, hi + 1, dtype=np.int64)
    distance = _distance(candidates, np.asarray(mul), node)
    closest = distance.min()
    if closest == _NEVER:
        return []
    if closest > 0:
        chosen = candidates[np.argsort(distance, kind="stable")[:TARGETS]]
    else:
        ties = candidates[distance == 0]
        chosen = ties[np.argsort(np.abs(ties), kind="stable")[:TARGETS]]
    return [int(c) for c in chosen]


def solve(weight: np.ndarray, goal: int, interval: Interval, rng: np.random.Generator) -> np.ndarray:
    """Integers x of the interval with sum(weight * x) = goal, or the closest that TRIES random starts reach."""
    flat = weight.reshape(-1)
    order = [int(j) for j in np.argsort(-np.abs(flat), kind="stable") if flat[j]]
    best, best_miss = np.zeros(flat.size, dtype=np.int64), -1
    for _ in range(TRIES):
        x = rng.integers(interval.lo, interval.hi, flat.size, endpoint=True)
        missing = goal - int(flat @ x)
        for j in order:
            if missing == 0:
                break
            w, old = int(flat[j]), int(x[j])
            x[j] = min(max(old + round(missing / w), interval.lo), interval.hi)
            missing -= w * (int(x[j]) - old)
        missing = _mended(flat, x, missing, interval)
        if best_miss < 0 or abs(missing) < best_miss:
            best, best_miss = x, abs(missing)
        if missing == 0:
            break
    return best


def _mended(weight: np.ndarray, x: np.ndarray, missing: int, interval: Interval) -> int:
    """What is still missing after the first two elements that make it up by one step each have taken it."""
    weight, x = weight[:PAIRED], x[:PAIRED]
    up, down = x < interval.hi, x > interval.lo
    for first, may_first in ((1, up), (-1, down)):
        for second, may_second in ((1, up), (-1, down)):
            if not missing:
                return 0
            sums = first * weight[:, None] + second * weight[None, :]
            fitting = (sums == missing) & may_first[:, None] & may_second[None, :]
            np.fill_diagonal(fitting, False)
            if fitting.any():
                i, j = np.unravel_index(int(fitting.argmax()), fitting.shape)
                x[i] += first
                x[j] += second
                return 0
    return missing


_NEVER = np.iinfo(np.int64).max


def _distance(acc: np.ndarray, mul: np.ndarray, node: Node) -> np.ndarray:
    """|acc * mul modulo 2**shift - 2**(shift-1)|: 0 at ties; _NEVER where clipping hides which way it was rounded."""
    shift, lo, hi = node.attrs["shift"], node.attrs["lo"], node.attrs["hi"]
    scaled, half = acc * mul, (1 << shift) >> 1
    below = scaled >> shift  # a tie is between this result and the next
    distance = np.abs((scaled & ((1 << shift) - 1)) - half)
    return np.where((below >= lo) & (below < hi), distance, _NEVER)


def _multiplier(graph: Graph, node: Node) -> np.ndarray:
    return graph.constants[node.inputs[1]].astype(np.int64) if len(node.inputs) > 1 else np.asarray(1)


def _channel_multiplier(graph: Graph, node: Node, linear: Node, channel: int) -> int:
    """The multiplier of an output channel; 1 where it varies along another axis too (none of ours does)."""
    mul = _multiplier(graph, node)
    axis = 1 if linear.op == "conv" else len(graph.values[node.output].shape) - 1
    from_end = len(graph.values[node.output].shape) - axis
    if mul.size == 1:
        return int(mul.reshape(-1)[0])
    if mul.ndim >= from_end and mul.shape[-from_end] == mul.size:
        return int(mul.reshape(-1)[channel])
    return 1


def _reach(weight: np.ndarray, bias: int, x: Interval) -> Interval:
    plus, minus = int(np.maximum(weight, 0).sum()), int(np.minimum(weight, 0).sum())
    return Interval(int(bias) + plus * x.lo + minus * x.hi, int(bias) + plus * x.hi + minus * x.lo)


def _aim_elements(graph: Graph, node: Node, x: np.ndarray, interval: Interval, rng: np.random.Generator) -> None:
    """An input that is requantized itself: half of its elements become accumulators that tie."""
    mul = np.broadcast_to(_multiplier(graph, node), (1, *x.shape))[0]
    places = np.flatnonzero(rng.integers(0, 2, x.size))[:PATCHES]
    for place in places:
        index = np.unravel_index(int(place), x.shape)
        if goals := targets(node, int(mul[index]), interval):
            x[index] = goals[int(rng.integers(len(goals)))]


def _patches(graph: Graph, linear: Node, x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int]]:
    """(view of the sample under one output element, its channel): views that do not overlap, channels at random."""
    weight = graph.constants[linear.inputs[1]]
    if linear.op == "linear":
        for row in x.reshape(-1, x.shape[-1])[:PATCHES]:
            yield row, int(rng.integers(len(weight)))
        return
    stride, padding, dilation = (linear.attrs[k] for k in ("stride", "padding", "dilation"))
    space, kernel = x.shape[1:], weight.shape[2:]
    reaches = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    counts = window_count(space, kernel, stride, padding, dilation)
    corners = []
    for size, reach, s, (before, _), count in zip(space, reaches, stride, padding, counts, strict=True):
        inside = [p * s - before for p in range(count) if 0 <= p * s - before <= size - reach]
        apart = -(-reach // s)
        corners.append(inside[int(rng.integers(min(apart, len(inside)))) :: apart] if inside else [])
    group_outputs = len(weight) // linear.attrs["groups"]
    for corner in list(product(*corners))[:PATCHES]:
        channel = int(rng.integers(len(weight)))
        first = channel // group_outputs * weight.shape[1]
        window = tuple(slice(c, c + r, d) for c, r, d in zip(corner, reaches, dilation, strict=True))
        yield x[(slice(first, first + weight.shape[1]), *window)], channel
