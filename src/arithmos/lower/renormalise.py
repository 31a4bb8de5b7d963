"""Batch norms re-estimated: a quantized layer's results get the mean and the variance that the float layer's have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Node
from arithmos.lower.choice import WeightGrid
from arithmos.lower.derived import along
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import admissible_step
from arithmos.quant.rtn import round_to_nearest

FARTHEST = 4.0
"""A channel's scale is never corrected by more than this factor: its variance may be near zero on the samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean and variance of each channel of a layer's result."""

    mean: np.ndarray
    variance: np.ndarray


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
    integers = chosen.integers
    if not recipe.solves:
        integers = round_to_nearest(new_weight, steps, chosen.levels, odd=chosen.odd)
    refined = dataclasses.replace(chosen, steps=steps, integers=integers, bias=new_bias.astype(np.float64))
    return refined, {node.inputs[1]: new_weight, node.inputs[2]: new_bias}


def moments(arrays: Sequence[np.ndarray], axis: int) -> Moments:
    """Mean and variance along all other axes."""
    return _moments([_sums(y, axis) for y in arrays])


def moved(results: Sequence[np.ndarray], before: WeightGrid, after: WeightGrid) -> list[np.ndarray]:
    """The results of a layer, channels on axis 1, after its steps and bias have changed."""
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
