"""Rounding with a gradient: the forward pass has the integers, the backward pass the slope of what is not rounded.

Source: Bengio et al., arXiv 1308.3432 (straight-through); Esser et al., arXiv 1902.08153, equations 3 and 5 (where it
is zero). An autograd function is a class because torch asks for one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

MANTISSA = 1 << 53
"""Integers below it are exact in float64."""


class Floor(torch.autograd.Function):
    """floor(x), with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """floor(x)."""
        return x.floor()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient as it is."""
        return gradient


class OddLevel(torch.autograd.Function):
    """clip(2 * floor(x / 2) + 1, lo, hi), the nearest odd level, with the gradient of x everywhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: int, hi: int) -> Tensor:
        """The integers."""
        return (2 * (x / 2).floor() + 1).clamp(lo, hi)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient as it is."""
        return gradient, None, None


class Requantize(torch.autograd.Function):
    """clip(floor(x * mul / 2**shift + 1/2), lo, hi), with the gradient of x * mul / 2**shift, and 0 outside [lo, hi].

    x: integers in float32 or float64; mul: integers that broadcast to x. The result has the type of x. widest is a
    bound of |x * mul + 2**(shift - 1)|: below 2**53 the sum is exact in float64 (and so is its product by a power of
    two), above it is formed in int64, which the range rule of requantize proves to be wide enough.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mul: Tensor | None, shift: int, lo: int, hi: int, widest: int) -> Tensor:
        """The integers."""
        ratio = None if mul is None else mul.double() * math.ldexp(1.0, -shift)
        real = x.double() * (math.ldexp(1.0, -shift) if ratio is None else ratio)
        inside = (real >= lo) & (real <= hi)
        ctx.save_for_backward(x if mul is not None else None, ratio, inside)
        ctx.shift, ctx.dtype = shift, x.dtype
        if widest < MANTISSA:
            rounded = real.add_(0.5).floor_() if shift else real
        else:
            product = x.long() if mul is None else x.long() * mul.long()
            rounded = (product.add_((1 << shift) >> 1) >> shift).double()
        return rounded.clamp_(lo, hi).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """For x: the gradient inside, times mul / 2**shift. For mul: the sum of gradient * x / 2**shift inside."""
        x, ratio, inside = ctx.saved_tensors
        passed = gradient * inside
        for_x = passed * (math.ldexp(1.0, -ctx.shift) if ratio is None else ratio.to(ctx.dtype))
        for_mul = None
        if ratio is not None and ctx.needs_input_grad[1]:
            # Sums of millions of terms that nearly cancel: the step's own term is subtracted elsewhere.
            for_mul = (passed * x).double().sum_to_size(ratio.shape) * math.ldexp(1.0, -ctx.shift)
        return for_x, for_mul, None, None, None, None


class Lookup(torch.autograd.Function):
    """entries[x - offset] (of the channel along `axis`); its gradient is the slope between the neighbouring entries."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, entries: Tensor, offset: int, axis: int | None) -> Tensor:
        """The entries."""
        index = x.long() - offset
        last = entries.shape[-1] - 1
        channel = () if axis is None else (_channels(index, axis),)
        above, below = (index + 1).clamp_(max=last), (index - 1).clamp_(min=0)
        # One side at the ends; a table of one entry is constant.
        slope = (entries[(*channel, above)] - entries[(*channel, below)]) / (above - below).clamp_(min=1)
        ctx.save_for_backward(slope.to(x.dtype))
        return entries[(*channel, index)]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient times the slope; entries are fixed."""
        (slope,) = ctx.saved_tensors
        return gradient.to(slope.dtype) * slope, None, None, None


def _channels(index: Tensor, axis: int) -> Tensor:
    shape = [-1 if a == axis else 1 for a in range(index.ndim)]
    return torch.arange(index.shape[axis], device=index.device).reshape(shape)
