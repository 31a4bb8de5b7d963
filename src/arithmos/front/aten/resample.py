"""Linear maps along an axis by a constant matrix: interpolation and cumulative sums; and copies, which need none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from arithmos.front.aten.layout import repeat_each, reshape, swap, take
from arithmos.front.call import Call, Folded, Tensor, own_axis


def resample(call: Call, x: Tensor, matrices: dict[int, np.ndarray]) -> Tensor:
    """y[..., i, ...] = sum over j of matrix[i, j] * x[..., j, ...] for each axis that has a (new, old) matrix."""
    axes = [axis for axis, matrix in matrices.items() if not _is_identity(matrix)]
    for axis in axes:
        suffix, last = "" if axis == axes[-1] else "resampled", len(x.shape) - 1
        matrix = call.constant(matrices[axis], "matrix")
        if axis == last:
            x = call.emit("linear", x, matrix, suffix=suffix)
        elif axis == last - 1:
            x = call.emit("matmul", matrix, x, suffix=suffix)
        else:
            x = call.emit("linear", swap(call, x, axis, last, "order"), matrix, suffix="resampled")
            x = swap(call, x, axis, last, suffix)
    return x


def _is_identity(matrix: np.ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool((matrix == np.eye(len(matrix))).all())


def _factors(scales: Sequence[object], axes: int) -> list[float | None]:
    """The scale factor of each axis where the user gave one: torch then trusts it more than the sizes."""
    listed: Sequence[object] = scales[0] if scales and isinstance(scales[0], list | tuple) else scales
    given = [s if isinstance(s, float | int) else None for s in listed]
    return [*given, *[None] * (axes - len(given))]


def _nearest(call: Call, x: Tensor, size: object, *scales: object, exact: bool) -> Tensor:
    """Copies: torch itself is asked which element stands at each new place."""
    ask = torch.ops.aten._upsample_nearest_exact1d if exact else torch.ops.aten.upsample_nearest1d
    axes = len(x.shape) - 2
    for i, factor in enumerate(_factors(scales, axes)):
        old, new = x.shape[i + 2], call.shape[i + 2]
        suffix = "" if i == axes - 1 else "nearest"
        places = ask(torch.arange(old, dtype=torch.float32)[None, None], [new], factor).int().flatten().tolist()
        if places == [p for p in range(old) for _ in range(new // old)]:
            x = repeat_each(call, x, i + 2, new // old, suffix) if new != old else x
        else:
            x = take(call, x, i + 2, places, suffix)
    return x


def _interpolated(mode: str, size: int, new: int, align_corners: bool, factor: float | None) -> np.ndarray:
    """The (new, size) matrix of one axis: torch interpolates the unit vectors."""
    units = torch.eye(size, dtype=torch.float64)
    if mode == "cubic":
        result = torch.ops.aten.upsample_bicubic2d(units[None, None], [size, new], align_corners, None, factor)[0, 0]
    else:
        result = torch.ops.aten.upsample_linear1d(units[None], [new], align_corners, factor)[0]
    return np.asarray(result.T.numpy())


def _interpolate(call: Call, x: Tensor, size: object, align_corners: bool, *scales: object, mode: str) -> Tensor:
    """Linear and cubic interpolation act on each axis by itself."""
    factors = _factors(scales, len(x.shape) - 2)
    matrices = {
        i + 2: _interpolated(mode, x.shape[i + 2], call.shape[i + 2], align_corners, factor)
        for i, factor in enumerate(factors)
    }
    return resample(call, x, matrices)


def _cumsum(call: Call, x: Tensor, dim: int, *_: object) -> Tensor:
    axis = own_axis(x, dim)
    return resample(call, x, {axis: np.tril(np.ones((x.shape[axis],) * 2))})


def _unfold_image(
    call: Call, x: Tensor, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Tensor:
    """im2col: a convolution of each channel with every unit filter."""
    h, w = kernel
    channels = x.shape[1]
    filters = torch.eye(h * w).reshape(h * w, 1, h, w).repeat(channels, 1, 1, 1)
    unit = Folded(filters, tuple(filters.shape), f"{call.name}.filters")
    pairs = tuple((p, p) for p in padding)
    y = call.emit(
        "conv",
        x,
        unit,
        stride=tuple(stride),
        padding=pairs,
        dilation=tuple(dilation),
        groups=channels,
        suffix="windows",
    )
    return reshape(call, y, call.shape)


SMOOTH = {"linear1d": "linear", "bilinear2d": "linear", "trilinear3d": "linear", "bicubic2d": "cubic"}

KINDS = ("default", "vec")

ROWS = {
    **{f"aten.upsample_nearest{d}d.{k}": partial(_nearest, exact=False) for d in (1, 2, 3) for k in KINDS},
    **{f"aten._upsample_nearest_exact{d}d.{k}": partial(_nearest, exact=True) for d in (1, 2, 3) for k in KINDS},
    **{f"aten.upsample_{name}.{k}": partial(_interpolate, mode=m) for name, m in SMOOTH.items() for k in KINDS},
    "aten.cumsum.default": _cumsum,
    "aten.im2col.default": _unfold_image,
}
