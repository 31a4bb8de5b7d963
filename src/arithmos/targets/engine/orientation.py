"""How the axes of a value lie in the channels-last tensors of the kernels.

"first": (batch, channel, space…), what convolutions make; "last": (batch, space…, channel), what linear layers make.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from arithmos.ir.graph import BATCH, Shape

Orientation = Literal["first", "last"]


def channel_axis(shape: Shape, orientation: Orientation) -> int:
    """The axis that holds the channels."""
    return 1 if orientation == "first" else len(shape) - 1


def space(shape: Shape, orientation: Orientation) -> Shape:
    """The extents of the spatial axes."""
    return tuple(shape[2:]) if orientation == "first" else tuple(shape[1:-1])


def extents(shape: Shape, orientation: Orientation) -> tuple[int, int, int] | None:
    """(channels, height, breadth); None where the first axis is not the batch, or with over two spatial axes."""
    if not 2 <= len(shape) <= 4 or shape[0] != BATCH or min(shape[1:]) < 1:
        return None
    height, breadth = (1, 1, *space(shape, orientation))[-2:]
    return shape[channel_axis(shape, orientation)], height, breadth


def pitches(shape: Shape, orientation: Orientation) -> tuple[int, int, int, int]:
    """Elements between neighbours along (image, channel, y, x) in a contiguous array of the value."""
    strides = [1]
    for extent in shape[:0:-1]:
        strides.insert(0, strides[0] * extent)
    axis = channel_axis(shape, orientation)
    y, x = (0, 0, *(s for a, s in enumerate(strides) if a not in (0, axis)))[-2:]
    return strides[0], strides[axis], y, x


def per_channel(array: np.ndarray, shape: Shape, orientation: Orientation) -> np.ndarray | None:
    """The constant as int64 for each channel of a value; None if it varies along another axis."""
    aligned = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    axis = channel_axis(shape, orientation)
    if any(extent != 1 for a, extent in enumerate(aligned.shape) if a != axis):
        return None
    return np.broadcast_to(aligned.astype(np.int64).reshape(-1), (shape[axis],)).copy()
