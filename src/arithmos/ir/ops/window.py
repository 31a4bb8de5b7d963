"""Geometry of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

from arithmos.ir.graph import Shape
from arithmos.ir.ops.op import expect

Pairs = tuple[tuple[int, int], ...]
"""(before, after) for each spatial axis."""


def window_count(space: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Shape:
    """floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1 for each spatial axis."""
    axes = len(space)
    expect(
        axes == len(kernel) == len(stride) == len(padding) == len(dilation),
        f"kernel, stride, padding and dilation need {axes} entries, one for each spatial axis",
    )
    expect(min((*stride, *dilation, *kernel), default=1) >= 1, "stride, dilation and kernel must be positive")
    expect(min(space, default=1) >= 1, f"the spatial axes {space} must not hold the batch or be empty")
    expect(all(min(pair) >= 0 for pair in padding), "padding must not be negative (use slice)")
    counts = tuple(
        (size + sum(pad) - d * (k - 1) - 1) // s + 1
        for size, k, s, pad, d in zip(space, kernel, stride, padding, dilation, strict=True)
    )
    expect(
        all(c >= 1 for c in counts), f"kernel {kernel} with dilation {dilation} is larger than the padded input {space}"
    )
    return counts
