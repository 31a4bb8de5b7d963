"""Round to nearest: weights and biases on their grids, one step a channel or one for the tensor."""

from __future__ import annotations

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.quant.grid import ScaleKind, admissible_step, round_half_up
from arithmos.quant.observe import weight_thresholds

BIAS_BITS = 23
"""|bias| stays below 2**23 where that costs no precision, so that consumers with float32 constants carry it exactly."""

MOST_BIAS_BITS = 29
"""|bias| never reaches 2**29, so that it fits 32-bit accumulators."""


def weight_steps(
    rows: np.ndarray,
    levels: Interval,
    observer: str,
    kind: ScaleKind,
    *,
    per_channel: bool,
    bias: np.ndarray | None = None,
    input_step: float = 1.0,
) -> np.ndarray:
    """Step of each row: threshold / last level, one for all rows unless per_channel. Shape (rows,).

    A row of zeros gets the largest step of the others (1 where all are zero). A step grows, at most to the largest one,
    until the row's bias in units of input_step * step is below 2**23; and further only where it would reach 2**29.
    """
    flat = rows.reshape(rows.shape[0], -1)
    thresholds = weight_thresholds(flat if per_channel else flat.reshape(1, -1), observer, levels, kind)
    steps = np.broadcast_to(thresholds / levels.hi, (rows.shape[0],)).copy()
    steps[steps == 0] = steps.max() or 1.0
    if bias is not None:
        most = (1 - 2.0**-20) * 2.0 ** np.array([BIAS_BITS, MOST_BIAS_BITS])  # the step itself is rounded to 24 bits
        wanted, needed = np.abs(bias) / input_step / most[:, None]
        floor = np.maximum(np.minimum(wanted, steps.max()), needed)
        steps = np.maximum(steps, floor if per_channel else floor.max())
    return np.asarray([admissible_step(float(s), kind) for s in steps])


def round_to_nearest(rows: np.ndarray, steps: np.ndarray, levels: Interval) -> np.ndarray:
    """clip(floor(w / step + 1/2), levels), row by row, as int64 of the shape of the rows."""
    step = steps.reshape(-1, *[1] * (rows.ndim - 1))
    return np.asarray(np.clip(round_half_up(rows.astype(np.float64) / step), levels.lo, levels.hi))
