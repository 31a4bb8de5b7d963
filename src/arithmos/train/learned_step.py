"""Learned steps: positive numbers that a network's integers stand on, trained with it.

Source: Esser et al., LSQ, arXiv 1902.08153; power-of-two steps as in Jain et al., TQT, arXiv 1903.08066, equation 8.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arithmos.quant.grid import ScaleKind

SIGNIFICANT_BITS = 24
"""As quant.grid.admissible_step has them: products of two steps are exact in float64."""


class LearnedStep(torch.autograd.Function):
    """step = the admissible number next to first * 2**exponent, in float64.

    dyadic: rounded to 24 significant bits. power_of_two: first * 2**floor(exponent + 1/2), first a power of two itself.
    The gradient is straight-through, in the metric of the step's own size and with LSQ's gain:
    d loss / d exponent := gain * (d loss / d step) / (step * ln 2). Gradient descent then changes log(step) as LSQ,
    which descends on the step itself, changes it: by -rate * gain * (d loss / d step) / step.
    """

    @staticmethod
    def forward(ctx: Any, exponent: Tensor, first: Tensor, gain: float, kind: ScaleKind) -> Tensor:
        """The steps, of the shape of exponent."""
        if kind == "power_of_two":
            step = torch.ldexp(first, (exponent.double() + 0.5).floor())
        else:
            mantissa, power = torch.frexp(first * torch.exp2(exponent.double()))
            step = torch.ldexp((mantissa * (1 << SIGNIFICANT_BITS) + 0.5).floor(), power - SIGNIFICANT_BITS)
        ctx.save_for_backward(step)
        ctx.gain, ctx.dtype = gain, exponent.dtype
        return step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """For the exponent."""
        (step,) = ctx.saved_tensors
        return (gradient * ctx.gain / (step * math.log(2))).to(ctx.dtype), None, None, None


def learned_step(exponent: Tensor, first: Tensor, gain: float, kind: ScaleKind) -> Tensor:
    """Apply `LearnedStep`."""
    step: Tensor = LearnedStep.apply(exponent, first, gain, kind)  # type: ignore[no-untyped-call]
    return step


def gradient_gain(n: int, last_level: int) -> float:
    """1 / sqrt(n * Q), n numbers on the step's grid and Q its last level. Source: LSQ, section 2.2."""
    return 1 / math.sqrt(max(n, 1) * max(last_level, 1))


def as_tensor(array: np.ndarray | float) -> Tensor:
    """float64 of any shape."""
    return torch.from_numpy(np.array(array, dtype=np.float64))
