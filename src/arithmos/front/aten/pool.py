"""Pooling: windows with torch's ceil_mode and divisors, and adaptive pooling of any size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from arithmos.front.aten.convolution import per_axis
from arithmos.front.aten.layout import concat, pad, part, reshape
from arithmos.front.aten.resample import resample
from arithmos.front.call import Call, Refusal, Tensor
from arithmos.ir.graph import Shape
from arithmos.ir.ops.window import Pairs


def _windows(
    call: Call, x: Tensor, axes: int, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> tuple[Shape, Shape, Pairs, Shape]:
    """Kernel, stride, padding, and how far the last window reaches over the padding (ceil_mode)."""
    if len(x.shape) != axes + 2:
        raise Refusal("its input has no batch axis", "give the example a batch axis in front")
    kernels = per_axis(kernel, axes)
    strides = per_axis(stride, axes) if stride else kernels
    pads = per_axis(padding, axes)
    reach = [(count - 1) * s + k for count, s, k in zip(call.shape[2:], strides, kernels, strict=True)]
    over = tuple(max(r - e - 2 * p, 0) for r, e, p in zip(reach, x.shape[2:], pads, strict=True))
    return kernels, strides, tuple((p, p + o) for p, o in zip(pads, over, strict=True)), over


def _max_pool(
    call: Call,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    *_: object,
    axes: int,
) -> Tensor:
    if any(d != 1 for d in per_axis(dilation, axes)):
        raise Refusal("its window has holes (dilation)", "pool with dilation=1, or take a strided slice before it")
    kernels, strides, pairs, _over = _windows(call, x, axes, kernel, stride, padding)
    return call.emit("max_pool", x, kernel=kernels, stride=strides, padding=pairs)


def _max_pool_with_indices(call: Call, x: Tensor, *rest: object, axes: int) -> tuple[Tensor, None]:
    return _max_pool(call, x, *rest, axes=axes), None  # type: ignore[arg-type]


def _avg_pool(
    call: Call,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_padding: bool = True,
    divisor: int | None = None,
    *,
    axes: int,
) -> Tensor:
    kernels, strides, pairs, over = _windows(call, x, axes, kernel, stride, padding)
    if count_padding and divisor is None and any(over):
        # torch counts the padding but not what ceil_mode adds behind it: so the padding becomes part of the input.
        pads = per_axis(padding, axes)
        x = pad(call, x, {i + 2: (p, p, 0) for i, p in enumerate(pads) if p}, 0, suffix="padded")
        pairs, count_padding = tuple((0, o) for o in over), False
    count_padding = count_padding or not any(any(pair) for pair in pairs)
    return call.emit(
        "avg_pool", x, kernel=kernels, stride=strides, padding=pairs, count_padding=count_padding, divisor=divisor
    )


def _adaptive_window(size: int, count: int, i: int) -> tuple[int, int]:
    """Start and end of adaptive window i: floor(i * size / count) to ceil((i + 1) * size / count)."""
    return i * size // count, -(-(i + 1) * size // count)


def _adaptive_avg(call: Call, x: Tensor, *_: object, axes: int) -> Tensor:
    space, counts = x.shape[-axes:], call.shape[-axes:]
    if len(x.shape) != axes + 2:
        raise Refusal("its input has no batch axis", "give the example a batch axis in front")
    if all(size % count == 0 for size, count in zip(space, counts, strict=True)):
        if space == counts:
            return x
        kernel = tuple(size // count for size, count in zip(space, counts, strict=True))
        none = ((0, 0),) * axes
        return call.emit("avg_pool", x, kernel=kernel, stride=kernel, padding=none, count_padding=True, divisor=None)
    matrices = [averages(size, count) for size, count in zip(space, counts, strict=True)]
    return resample(call, x, {i + 2: matrix for i, matrix in enumerate(matrices)})


def averages(size: int, count: int) -> np.ndarray:
    """The (count, size) matrix whose row i averages adaptive window i."""
    matrix = np.zeros((count, size))
    for i in range(count):
        start, end = _adaptive_window(size, count, i)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _adaptive_max(call: Call, x: Tensor, *_: object, axes: int) -> tuple[Tensor, None]:
    """The maximum of a box is the maximum over one axis after the other."""
    space, counts = x.shape[-axes:], call.shape[-axes:]
    if all(size % count == 0 for size, count in zip(space, counts, strict=True)) and len(x.shape) == axes + 2:
        kernel = tuple(size // count for size, count in zip(space, counts, strict=True))
        return call.emit("max_pool", x, kernel=kernel, stride=kernel, padding=((0, 0),) * axes), None
    for i, (size, count) in enumerate(zip(space, counts, strict=True)):
        axis = len(x.shape) - axes + i
        cells = []
        for start, end in (_adaptive_window(size, count, w) for w in range(count)):
            cell = part(call, x, axis, start, 1, end - start, "window")
            cells.append(call.emit("reduce_max", cell, axes=(axis,), keepdims=True, suffix="maximum"))
        x = concat(call, cells, axis, "" if i == axes - 1 else "maxima")
    return reshape(call, x, call.shape), None


AXES = {"1d": 1, "2d": 2, "3d": 3}

ROWS = {
    **{f"aten.max_pool{d}.default": partial(_max_pool, axes=n) for d, n in AXES.items()},
    **{f"aten.max_pool{d}_with_indices.default": partial(_max_pool_with_indices, axes=n) for d, n in AXES.items()},
    **{f"aten.avg_pool{d}.default": partial(_avg_pool, axes=n) for d, n in AXES.items()},
    **{f"aten.adaptive_avg_pool{d}.default": partial(_adaptive_avg, axes=n) for d, n in AXES.items()},
    **{f"aten._adaptive_avg_pool{d}.default": partial(_adaptive_avg, axes=n) for d, n in AXES.items()},
    **{f"aten.adaptive_max_pool{d}.default": partial(_adaptive_max, axes=n) for d, n in AXES.items()},
}
