"""Round to nearest: half a step of error inside, clipping outside, and biases that stay below 2**23."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.quant.grid import ScaleKind, round_half_up, symmetric
from arithmos.quant.rtn import BIAS_BITS, MOST_BIAS_BITS, round_to_nearest, weight_steps


def weights(seed: int, shape: tuple[int, ...] = (5, 3, 2, 2)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 2, (shape[0], *[1] * (len(shape) - 1)))


@given(st.integers(0, 1000), st.integers(2, 16), st.booleans(), st.sampled_from(["dyadic", "power_of_two"]))
def test_the_error_is_at_most_half_a_step(seed: int, bits: int, per_channel: bool, kind: ScaleKind) -> None:
    rows, levels = weights(seed), symmetric(bits)
    steps = weight_steps(rows, levels, "minmax", kind, per_channel=per_channel)
    rounded = round_to_nearest(rows, steps, levels)
    step = steps.reshape(-1, 1, 1, 1)
    assert rounded.dtype == np.int64 and rounded.min() >= levels.lo and rounded.max() <= levels.hi
    # A dyadic step may be rounded down by 2**-24, and then the largest weight lies that little outside the grid.
    assert np.all(np.abs(rows - rounded * step) <= step / 2 + np.abs(rows) * 2.0**-24)
    if not per_channel:
        assert len(set(steps.tolist())) == 1


@given(st.integers(0, 1000))
def test_outside_the_threshold_it_clips(seed: int) -> None:
    rows, levels = weights(seed, (2, 50)), symmetric(4)
    steps = weight_steps(rows, levels, "percentile:80", "dyadic", per_channel=True)
    rounded, limit = round_to_nearest(rows, steps, levels), steps[:, None] * levels.hi
    outside = np.abs(rows) > limit
    assert outside.any() and np.array_equal(np.abs(rounded[outside]), np.full(outside.sum(), levels.hi))
    assert np.all(
        np.abs(rows - rounded * steps[:, None])[~outside]
        <= np.broadcast_to(steps[:, None] / 2 * (1 + 1e-6), rows.shape)[~outside]
    )


def test_a_row_of_zeros_takes_the_largest_step() -> None:
    rows = np.array([[0.0, 0.0], [1.27, 0.5], [0.127, 0.0]])
    steps = weight_steps(rows, symmetric(8), "minmax", "dyadic", per_channel=True)
    assert steps[0] == steps[1] and steps[1] > steps[2]
    assert weight_steps(np.zeros((2, 3)), symmetric(8), "minmax", "dyadic", per_channel=True).tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["dyadic", "power_of_two"])
@given(st.integers(0, 1000), st.floats(1e-6, 10.0), st.booleans())
def test_biases_stay_below_their_limit(kind: ScaleKind, seed: int, input_step: float, per_channel: bool) -> None:
    rows = weights(seed)
    bias = np.random.default_rng(seed).normal(size=5) * 1000
    levels = symmetric(8)
    steps = weight_steps(rows, levels, "minmax", kind, per_channel=per_channel, bias=bias, input_step=input_step)
    plain = weight_steps(rows, levels, "minmax", kind, per_channel=per_channel)
    integers = np.abs(round_half_up(bias / (input_step * steps)))
    assert integers.max() < 1 << MOST_BIAS_BITS
    assert np.all(steps >= plain)
    if per_channel:
        finer = steps < 0.99 * plain.max()
        assert np.all(integers[finer] < 1 << BIAS_BITS), "a row grows up to the largest step before its bias may"
