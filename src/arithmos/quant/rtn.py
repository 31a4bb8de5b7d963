"""Round to nearest: weights and biases on their grids, one step a channel or one for the tensor."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.quant.grid import ScaleKind, admissible_step, nearest_levels
from arithmos.quant.observe import weight_thresholds
from arithmos.quant.steps import without_zeros

BIAS_BITS = 23
"""|bias| stays below 2**23 where that costs no precision, so that consumers with float32 constants carry it exactly."""

MOST_BIAS_BITS = 29
"""|bias| never reaches 2**29, so that it fits 32-bit accumulators."""

ROWS = 64
"""Rows rounded at a time: the memory is that of their float64 numbers, not of the layer's."""


def weight_steps(
    rows: np.ndarray,
    levels: Interval,
    observer: str,
    kind: ScaleKind,
    *,
    per_channel: bool,
    bias: np.ndarray | None = None,
    input_step: float = 1.0,
    odd: bool = False,
) -> np.ndarray:
    """Step of each row: threshold / last level, one for all rows unless per_channel; made usable. Shape (rows,)."""
    flat = rows.reshape(rows.shape[0], -1)
    thresholds = weight_thresholds(flat if per_channel else flat.reshape(1, -1), observer, levels, kind, odd=odd)
    steps = np.broadcast_to(thresholds / levels.hi, (rows.shape[0],))
    return usable_steps(steps, kind, per_channel=per_channel, bias=bias, input_step=input_step, odd=odd)


def usable_steps(
    steps: np.ndarray,
    kind: ScaleKind,
    *,
    per_channel: bool,
    bias: np.ndarray | None = None,
    input_step: float = 1.0,
    odd: bool = False,
) -> np.ndarray:
    """The steps of rows, (rows,), as a graph may hold them, large enough for the rows' biases.

    A step of 0 becomes the largest of the others (1 where all are zero), or 2**-24 of it where 0 is no level. A step
    grows, at most to the largest one, until the row's bias in units of input_step * step is below 2**23; and further
    only where it would reach 2**29.
    """
    steps = without_zeros(steps, odd=odd)
    if bias is not None:
        wanted = least_steps(bias, input_step, BIAS_BITS)
        floor = np.maximum(np.minimum(wanted, steps.max()), least_steps(bias, input_step))
        steps = np.maximum(steps, floor if per_channel else floor.max())
    return np.asarray([admissible_step(float(s), kind) for s in steps])


def least_steps(bias: np.ndarray, input_step: float, bits: int = MOST_BIAS_BITS) -> np.ndarray:
    """The step of each row from which on its bias stays below 2**bits in units of input_step * step."""
    return np.asarray(np.abs(bias) / input_step / ((1 - 2.0**-20) * 2.0**bits))  # a step is rounded to 24 bits itself


def round_to_nearest(rows: np.ndarray, steps: np.ndarray, levels: Interval, *, odd: bool = False) -> np.ndarray:
    """The level (odd: the odd one) nearest to w / step, row by row, as int64 of the shape of the rows."""
    step = np.broadcast_to(steps.reshape(-1, *[1] * (rows.ndim - 1)), (len(rows), *[1] * (rows.ndim - 1)))
    found = np.empty(rows.shape, dtype=np.int64)
    for at in (slice(n, n + ROWS) for n in range(0, len(rows), ROWS)):
        found[at] = nearest_levels(rows[at].astype(np.float64) / step[at], levels, odd=odd)
    return found
