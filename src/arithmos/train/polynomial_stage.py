"""A Chebyshev series of a tensor with the gradient of its argument and of its coefficients, a piece at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK, DEVICE_CHUNK = 1 << 14, 1 << 21
"""Numbers at once on the processor, where the rows of T_k stay in the second-level cache, and on other devices."""


class Stage(torch.autograd.Function):
    """y = sum_k c_k T_k(t), t = inward * x, held to [-1, 1] with `clamped`.

    d y / d c_k = T_k(t), d y / d x = inward * sum_k k c_k U_{k-1}(t), and 0 where t was held. Rows of T_k are made anew
    in the backward pass: what is kept of the forward pass is x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, inward: float, clamped: bool) -> Tensor:
        """Of the shape, type and memory order of x."""
        x = _dense(x)
        ctx.save_for_backward(x, coefficients)
        ctx.inward, ctx.clamped = inward, clamped
        y = torch.empty_like(x)
        numbers, results, c = _flat(x), _flat(y), coefficients.to(x.dtype)
        for part in _parts(numbers):
            torch.mv(_rows(numbers[part], len(c), inward, clamped).T, c, out=results[part])
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """For x and for the coefficients."""
        x, coefficients = ctx.saved_tensors
        of_x = torch.empty_like(x)
        numbers, results = _flat(x), _flat(of_x)
        incoming = _flat(torch.empty_like(x).copy_(gradient) if gradient.stride() != x.stride() else gradient)
        slopes = derivative(coefficients.to(x.dtype)) * ctx.inward
        of_c = torch.zeros(len(coefficients), dtype=torch.float64, device=x.device)
        for part in _parts(numbers):
            rows = _rows(numbers[part], len(coefficients), ctx.inward, ctx.clamped)
            of_c += rows @ incoming[part]
            torch.mv(rows.T, slopes, out=results[part]).mul_(incoming[part])
            if ctx.clamped:
                results[part].masked_fill_((numbers[part] * ctx.inward).abs() > 1, 0.0)
        return of_x, of_c.to(coefficients.dtype), None, None


def stage(x: Tensor, coefficients: Tensor, inward: float = 1.0, *, clamped: bool = False) -> Tensor:
    """Apply `Stage`. x: any shape; coefficients: of T_0, T_1, …"""
    y: Tensor = Stage.apply(x, coefficients, inward, clamped)  # type: ignore[no-untyped-call]
    return y


def derivative(coefficients: Tensor) -> Tensor:
    """The series of p', as long as that of p: c'_{k-1} = c'_{k+1} + 2 k c_k, and c'_0 halved."""
    given, found = coefficients.tolist(), [0.0] * (len(coefficients) + 1)
    for k in range(len(given) - 1, 0, -1):
        found[k - 1] = (found[k + 1] if k + 1 < len(found) else 0.0) + 2 * k * given[k]
    found[0] /= 2
    return coefficients.new_tensor(found[: len(given)])


def _rows(x: Tensor, n: int, inward: float, clamped: bool) -> Tensor:
    """T_0 … T_{n-1} of a vector, a row each."""
    rows = x.new_empty((n, len(x)))
    rows[0] = 1
    if n == 1:
        return rows
    torch.mul(x, inward, out=rows[1])
    if clamped:
        rows[1].clamp_(-1, 1)
    if n > 2:
        twice = 2 * rows[1]
        for k in range(2, n):
            torch.mul(twice, rows[k - 1], out=rows[k]).sub_(rows[k - 2])
    return rows


def _parts(numbers: Tensor) -> list[slice]:
    size = CHUNK if numbers.device.type == "cpu" else DEVICE_CHUNK
    return [slice(start, start + size) for start in range(0, len(numbers), size)]


def _dense(x: Tensor) -> Tensor:
    """x itself where its numbers lie side by side in one of the two memory orders of pictures, else a copy."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return x if last or x.is_contiguous() else x.contiguous()


def _flat(x: Tensor) -> Tensor:
    """All numbers of a dense tensor in the order of memory, not copied."""
    return x.view(-1) if x.is_contiguous() else x.permute(0, 2, 3, 1).reshape(-1)
