"""Parts of a convolution add up to it, and no partial sum of a part leaves the limit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import Interval
from arithmos.targets.onnx.split import any_order, split


@given(
    st.integers(0, 2**32),
    st.sampled_from([(3, 4, 2, 2), (2, 5, 1), (4, 2, 3, 3), (1, 1, 7)]),
    st.sampled_from([1, 2]),
    st.integers(-300, 0),
    st.integers(0, 300),
    st.integers(1, 200_000),
)
def test_parts_add_up_and_stay_inside(
    seed: int, shape: tuple[int, ...], groups: int, lo: int, hi: int, limit: int
) -> None:
    weight = np.random.default_rng(seed).integers(-127, 128, shape)
    x = Interval(lo, hi)
    parts = split(weight, groups, x, limit)
    if not parts:
        assert np.abs(weight).max() * x.magnitude > limit
        return
    total = np.zeros_like(weight)
    for part in parts:
        assert any_order(part.weight, x).magnitude <= limit
        first, last = part.channels
        assert groups == 1 or (first, last) == (0, shape[1] * groups)
        total[:, first : last if groups == 1 else None] += part.weight
    np.testing.assert_array_equal(total, weight)


def test_whole_channels_are_preferred() -> None:
    parts = split(np.ones((1, 4, 2, 2), dtype=np.int64), 1, Interval(0, 1), 10)
    assert [part.channels for part in parts] == [(0, 2), (2, 4)]


def test_any_order_counts_sums_without_the_bias() -> None:
    assert any_order(np.array([[3, -2]]), Interval(0, 10), np.array([-40])) == Interval(-60, 30)


def test_any_order_does_not_overflow() -> None:
    peak = any_order(np.array([[1 << 62, 1 << 61]]), Interval(0, 1000), np.array([(1 << 62)]))
    assert peak.hi == 1000 * ((1 << 62) + (1 << 61)) + (1 << 62)


def test_any_order_does_not_overflow_in_the_sum_of_the_weights() -> None:
    top = (1 << 63) - 1
    assert any_order(np.array([[top, top, -top - 1, -top - 1]]), Interval(0, 1)) == Interval(-2 * top - 2, 2 * top)
