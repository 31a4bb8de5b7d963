"""Refine: better weights layer by layer, on samples that go through the quantised network as far as it is done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node, consumers
from arithmos.ir.interpret import indices, interpret
from arithmos.ir.ops import FLOAT
from arithmos.ir.scale import as_float
from arithmos.lower.calibrate import Sample, Stats
from arithmos.lower.choice import Choice, WeightGrid
from arithmos.lower.derived import along
from arithmos.lower.lower import lower
from arithmos.lower.recipe import Recipe
from arithmos.lower.rounding import WIDEST, learned, nearest
from arithmos.lower.weights import corrected_bias
from arithmos.quant.gram import Gram, features, gram, windows
from arithmos.quant.grid import Grid, admissible_step

LAYERS = frozenset({"conv", "linear"})

ENOUGH = 20
"""A Gram matrix of d * d numbers is estimated from at most so many times d vectors (measured: more gain nothing)."""

CHUNK = 1 << 25
"""Numbers that are unfolded into windows at once: 128 MB."""

FARTHEST = 4.0
"""A channel's scale is never corrected by more than this factor: its variance may be near zero on the samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean and variance of each channel of a layer's result."""

    mean: np.ndarray
    variance: np.ndarray


def refine(
    prepared: Graph, stats: Stats, choice: Choice, recipe: Recipe, normed: Collection[str], seed: int = 0
) -> tuple[Graph, Choice]:
    """Learned rounding and re-estimated batch norms, as the recipe asks; the float graph and the choice that result.

    Node by node the samples kept by calibration pass through the float graph, with weights and values on their grids.
    At a layer its weights are rounded anew for the inputs it really gets, and where the layer was followed by a batch
    norm (normed: the names of those) the norm's statistics are re-estimated and folded again. Memory: the live values
    of all samples, and the Gram matrix of one layer. seed: of the positions that are drawn for it.
    """
    rng = np.random.default_rng(seed)
    grids, whole = rounded_values(prepared, choice, recipe), indices(prepared)
    renormed = set(normed) if "batch_norm" in recipe.corrections else set()
    expected = float_moments(prepared, stats.samples, renormed)
    constants, weights = dict(prepared.constants), dict(choice.weights)
    live = [{n: _on_grid(_real(s[n], n in whole), grids.get(n)) for n in prepared.inputs} for s in stats.samples]
    last = {name: readers[-1].output for name, readers in consumers(prepared).items() if readers}
    for node in prepared.nodes:
        if node.op in LAYERS and node.output in weights:
            inputs = [piece[node.inputs[0]] for piece in live]
            chosen = rounded_anew(node, constants, weights[node.output], inputs, stats, recipe, rng)
            results = [_result(node, x, chosen) for x in inputs]
            if node.output in expected:
                before, seen = chosen, moments(results, 1)
                chosen, folded = renormalised(node, constants, before, seen, expected[node.output], recipe)
                results = _moved(results, before, chosen)
                constants |= folded
            weights[node.output] = chosen
        else:
            run = FLOAT[node.op].run
            arrays = ([p[n] if n in p else _real(constants[n], n in whole) for n in node.inputs] for p in live)
            results = [run(*operands, **node.attrs) for operands in arrays]
        for piece, result in zip(live, results, strict=True):
            piece[node.output] = _on_grid(result, grids.get(node.output))
            for name in node.inputs:
                if last[name] == node.output:
                    piece.pop(name, None)
    return dataclasses.replace(prepared, constants=constants), Choice(choice.grids, weights)


def rounded_anew(
    node: Node,
    constants: Mapping[str, np.ndarray],
    chosen: WeightGrid,
    inputs: Sequence[np.ndarray],
    stats: Stats,
    recipe: Recipe,
    rng: np.random.Generator,
) -> WeightGrid:
    """The layer's integers by the recipe's rounding, on the Gram matrix of its inputs, and the bias that goes with
    them."""
    if recipe.rounding == "nearest" or constants[node.inputs[1]][0].size > WIDEST:
        return chosen
    weight = constants[node.inputs[1]].astype(np.float64)
    integers = learned(weight, chosen, layer_gram(node, weight, inputs, rng), recipe.rounding)
    bias = constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else None
    if "bias" in recipe.corrections:
        bias = corrected_bias(stats, node, weight, bias, integers * along(chosen.steps, -weight.ndim))
    return dataclasses.replace(chosen, integers=integers, bias=bias)


def layer_gram(node: Node, weight: np.ndarray, inputs: Sequence[np.ndarray], rng: np.random.Generator) -> Gram:
    """The Gram matrix of what a conv or linear multiplies by its weights, from batches of inputs."""
    n_samples = sum(len(x) for x in inputs)
    most = -(-ENOUGH * weight[0].size // n_samples)

    def vectors() -> Iterator[np.ndarray]:
        for x in inputs:
            if node.op == "linear":
                yield features(x, rng, most)
                continue
            count = min(most, math.prod(x.shape[2:]))
            at_once = max(1, CHUNK // (x.shape[1] * math.prod(weight.shape[2:]) * count))
            for start in range(0, len(x), at_once):
                yield windows(x[start : start + at_once], rng, most, kernel=weight.shape[2:], **node.attrs)

    return gram(vectors())


def renormalised(
    node: Node,
    constants: Mapping[str, np.ndarray],
    chosen: WeightGrid,
    seen: Moments,
    expected: Moments,
    recipe: Recipe,
) -> tuple[WeightGrid, dict[str, np.ndarray]]:
    """The layer with its batch norm re-estimated: its result has the mean and variance that the float layer has.

    A norm that divides by sigma_q / sigma_f more and subtracts the other mean: W *= r, steps *= r, r = sigma_f /
    sigma_q per channel, b += E_f - r E_q. The integers stay. Against statistics of the samples alone, taking the float
    network's on the same samples as the reference leaves out what is peculiar to few samples. Where steps are powers of
    two, or one for all rows, only the mean is corrected. Compare Nagel et al., arXiv 2203.08215.
    """
    weight, bias = (constants[name] for name in node.inputs[1:])
    ratio = np.divide(expected.variance, seen.variance, out=np.ones_like(seen.variance), where=seen.variance > 0)
    wanted = np.clip(np.sqrt(ratio), 1 / FARTHEST, FARTHEST)
    steps = chosen.steps
    if len(steps) == len(wanted) and recipe.scales != "power_of_two":
        steps = np.array([admissible_step(float(s), recipe.scales) for s in steps * wanted])
    r = np.broadcast_to(steps / chosen.steps, wanted.shape)
    old = np.zeros(len(r)) if chosen.bias is None else chosen.bias
    new_bias = (expected.mean - r * (seen.mean - old)).astype(bias.dtype)
    new_weight = (weight * along(r, -weight.ndim)).astype(weight.dtype)
    integers = chosen.integers if recipe.rounding != "nearest" else nearest(new_weight, steps, chosen)
    refined = dataclasses.replace(chosen, steps=steps, integers=integers, bias=new_bias.astype(np.float64))
    return refined, {node.inputs[1]: new_weight, node.inputs[2]: new_bias}


def float_moments(graph: Graph, samples: Sequence[Sample], names: Collection[str]) -> dict[str, Moments]:
    """The moments of axis 1 of some values of the float graph, sample piece by sample piece."""
    sums: dict[str, list[np.ndarray]] = {}
    for piece in samples if names else ():
        for name, y in interpret(graph, piece):
            if name in names:
                sums.setdefault(name, []).append(_sums(y, 1))
    return {name: _moments(parts) for name, parts in sums.items()}


def moments(arrays: Sequence[np.ndarray], axis: int) -> Moments:
    """Mean and variance along all other axes."""
    return _moments([_sums(y, axis) for y in arrays])


def rounded_values(prepared: Graph, choice: Choice, recipe: Recipe) -> dict[str, Grid]:
    """The float values that the integer network has as integers of one step, with their grids."""
    net = lower(prepared, choice, recipe).net
    grids = {}
    for name in (*net.inputs, *(n.output for n in net.nodes if n.op in ("requantize", "clip", "table"))):
        value = net.values[name]
        if name in prepared.values and value.scale is not None and value.range is not None:
            grids[name] = Grid(float(as_float(value.scale)), value.range)
    return grids


def _result(node: Node, x: np.ndarray, chosen: WeightGrid) -> np.ndarray:
    """The layer on weights of its grid."""
    weight = (chosen.integers * along(chosen.steps, -chosen.integers.ndim)).astype(np.float32)
    bias = () if chosen.bias is None else (chosen.bias.astype(np.float32),)
    return np.asarray(FLOAT[node.op].run(x, weight, *bias, **node.attrs))


def _moved(results: Sequence[np.ndarray], before: WeightGrid, after: WeightGrid) -> list[np.ndarray]:
    """The results of a layer after its steps and bias have changed."""
    assert after.bias is not None
    gain = after.steps / before.steps
    shift = after.bias - gain * (0.0 if before.bias is None else before.bias)
    axis = 1 - results[0].ndim
    return [y * along(gain, axis).astype(np.float32) + along(shift, axis).astype(np.float32) for y in results]


def _sums(y: np.ndarray, axis: int) -> np.ndarray:
    """(sum, sum of squares, count) of each channel."""
    other = tuple(a for a in range(y.ndim) if a != axis)
    total, square = y.sum(axis=other, dtype=np.float64), np.square(y, dtype=np.float64).sum(axis=other)
    return np.stack([total, square, np.full_like(total, y.size // y.shape[axis])])


def _moments(parts: Sequence[np.ndarray]) -> Moments:
    total, square, n = np.sum(parts, axis=0)
    mean = total / n
    return Moments(mean, np.maximum(square / n - mean * mean, 0))


def _real(array: np.ndarray, whole: bool) -> np.ndarray:
    return array if whole and array.dtype.kind in "iub" else array.astype(np.float32, copy=False)


def _on_grid(x: np.ndarray, grid: Grid | None) -> np.ndarray:
    """step * clip(floor(x / step + 1/2), range) in float32: for statistics, not for exactness."""
    if grid is None or x.dtype.kind != "f":
        return x
    step = np.float32(grid.step)
    return np.clip(np.floor(x / step + np.float32(0.5)), grid.range.lo, grid.range.hi).astype(np.float32) * step
