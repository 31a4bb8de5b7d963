"""Integer weights and biases of one convolution or linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Node
from arithmos.lower.lowering import Lowering
from arithmos.quant.grid import round_half_up, symmetric
from arithmos.quant.rtn import round_to_nearest, weight_steps


@dataclass(frozen=True, slots=True)
class IntegerWeights:
    """weight ~ steps * w_q per output channel, bias ~ input_step * steps * b_q."""

    weight: np.ndarray
    bias: np.ndarray | None
    steps: np.ndarray


def integer_weights(state: Lowering, node: Node, input_step: float) -> IntegerWeights:
    """Weights of conv or linear on their grids, bias in accumulator units, corrected if the recipe asks for it.

    Bias correction: b -= E[(W_q - W) x] per output channel, with the channel means of the float input; padding is left
    out of account. Source: Nagel et al., arXiv 1906.04721, section 4.2.
    """
    recipe = state.at(node.output, node.inputs[1])
    weight = state.array(node.inputs[1])
    bias = state.array(node.inputs[2]) if len(node.inputs) > 2 else None
    assert weight is not None
    levels = symmetric(recipe.weight_bits)
    steps = weight_steps(
        weight,
        levels,
        recipe.weight_observer_used,
        recipe.scales,
        per_channel=recipe.weight_scale == "channel",
        bias=bias,
        input_step=input_step,
    )
    rounded = round_to_nearest(weight, steps, levels)
    if "bias" in recipe.corrections:
        error = rounded * steps.reshape(-1, *[1] * (weight.ndim - 1)) - weight
        bias = (np.zeros(weight.shape[0]) if bias is None else bias) - _mean_output(state, node, error)
    integer_bias = None if bias is None else round_half_up(bias / (input_step * steps))
    return IntegerWeights(rounded, integer_bias, steps)


def _mean_output(state: Lowering, node: Node, error: np.ndarray) -> np.ndarray:
    """E[error * x] per output channel from the mean of each input channel."""
    seen = state.stats.observations[node.inputs[0]]
    mean = seen.channel_mean if node.op == "conv" else seen.feature_mean
    per_channel = error.reshape(*error.shape[:2], -1).sum(axis=2)
    groups = node.attrs.get("groups", 1)
    means = mean.reshape(groups, -1).repeat(error.shape[0] // groups, axis=0)
    return np.asarray((per_channel * means).sum(axis=1))
