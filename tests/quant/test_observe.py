"""Observers: histograms that do not depend on the batches, thresholds against direct computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.ir.interval import Interval
from arithmos.quant.grid import ScaleKind, admissible_step, symmetric
from arithmos.quant.observe import BINS, Observation, Observer, percentile, threshold, weight_thresholds


def observe(*batches: np.ndarray) -> Observation:
    observer = Observer()
    for batch in batches:
        observer.update(batch)
    return observer.observation()


def sample(seed: int = 0, shape: tuple[int, ...] = (64, 3, 4, 4)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_t(3, shape) * rng.uniform(0.5, 2, (1, shape[1], *[1] * (len(shape) - 2)))).astype(np.float32)


@given(st.lists(st.integers(1, 63), max_size=5), st.permutations(range(4)), st.sampled_from([1e-30, 1.0, 1e20]))
def test_the_cut_into_batches_does_not_matter(cuts: list[int], order: list[int], size: float) -> None:
    x = sample() * np.float32(size)
    whole = observe(x)
    pieces = np.split(x, sorted(set(cuts)))
    pieces = [pieces[i] for i in order if i < len(pieces)] + pieces[4:]
    cut = observe(*pieces)
    assert (cut.lo, cut.hi, cut.width) == (whole.lo, whole.hi, whole.width)
    assert np.array_equal(cut.counts, whole.counts)
    assert np.allclose(cut.channel_mean, whole.channel_mean, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_histogram_against_direct_counting(dtype: type) -> None:
    x = sample().astype(dtype)
    seen = observe(x)
    magnitude = np.abs(x.astype(np.float64)).ravel()
    top = magnitude.max()
    assert (seen.lo, seen.hi, seen.magnitude) == (x.min(), x.max(), top)
    assert seen.width == 2.0 ** math.ceil(math.log2(top)) / BINS
    direct = [int(np.sum((magnitude >= i * seen.width) & (magnitude < (i + 1) * seen.width))) for i in range(BINS)]
    assert seen.counts.tolist() == direct


@pytest.mark.parametrize("top", [1.0, 2.0**-5, 1024.0, math.nextafter(1.0, 0), 1e-44, 3e38])
def test_the_largest_value_is_in_the_histogram(top: float) -> None:
    x = np.array([[0.0, top, -top]], dtype=np.float32)
    seen = observe(x)
    assert seen.counts.sum() == 3 and seen.magnitude == np.float32(top)


def test_numbers_that_stand_for_infinity_are_left_out() -> None:
    masked = observe(np.array([[1.0, -2.0, -1e30, -1e9]], np.float32))
    assert (masked.lo, masked.hi) == (-2.0, 1.0)
    large = observe(np.array([[0.0, 1e12, 2e12]], np.float32))
    assert large.hi == np.float32(2e12), "beside zeros alone they are the values themselves"


def test_zeros_first() -> None:
    seen = observe(np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32))
    assert seen.counts[0] == 6 and seen.counts.sum() == 9
    assert observe(np.zeros((2, 3), np.float32)).counts[0] == 6


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 6), (7, 5, 3, 4), (7, 5, 2, 3, 4)])
def test_means_of_channels_and_features(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).normal(size=shape)
    seen = observe(x[:3], x[3:])
    for mean, axis in ((seen.channel_mean, 1), (seen.feature_mean, x.ndim - 1)):
        others = tuple(a for a in range(x.ndim) if a != axis)
        assert mean.shape == (shape[axis],) and np.allclose(mean, x.mean(axis=others))


def test_a_number_a_sample_is_one_feature() -> None:
    seen = observe(np.array([1.0, 2.0, 3.0]), np.array([6.0]))
    assert seen.channel_mean.tolist() == seen.feature_mean.tolist() == [3.0]


def test_a_single_number_and_an_empty_batch() -> None:
    seen = observe(np.float64(2.5) * np.ones(()), np.ones((0, 3)))
    assert (seen.lo, seen.hi, seen.counts.sum()) == (2.5, 2.5, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_seen(bad: float) -> None:
    x = np.ones((2, 3), np.float32)
    poisoned = x.copy()
    poisoned[0, 0] = bad
    for batches in ((poisoned, x), (x, poisoned), (x, poisoned, x)):
        seen = observe(*batches)
        assert math.isnan(seen.lo) and math.isnan(seen.hi)


# --- thresholds -----------------------------------------------------------------------------------------------------


@given(st.floats(1.0, 100.0), st.integers(0, 5))
def test_percentile_is_the_bin_edge_above_the_quantile(share: float, seed: int) -> None:
    x = sample(seed)
    seen = observe(x)
    limit = threshold(seen, f"percentile:{share}", symmetric(8), "dyadic")
    magnitude = np.sort(np.abs(x.astype(np.float64)).ravel())
    exact = magnitude[max(math.ceil(share / 100 * magnitude.size - 1e-9) - 1, 0)]
    assert 0 < limit <= magnitude[-1]
    assert exact <= limit <= exact + seen.width * (1 + 1e-9)


def test_minmax_is_the_largest_magnitude() -> None:
    x = sample()
    assert threshold(observe(x), "minmax", symmetric(8), "dyadic") == np.abs(x).max()


def squared_error(x: np.ndarray, limit: float, levels: Interval, kind: ScaleKind) -> float:
    step = admissible_step(limit / levels.hi, kind)
    magnitude = np.abs(x.astype(np.float64)).ravel()
    return float(np.sum((magnitude - step * np.minimum(np.floor(magnitude / step + 0.5), levels.hi)) ** 2))


@pytest.mark.parametrize("kind", ["dyadic", "power_of_two"])
@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_mse_is_as_good_as_brute_force(bits: int, kind: ScaleKind) -> None:
    """The choice on the histogram is at most 2 % worse than the best of 400 thresholds on the numbers themselves."""
    x, levels = sample(bits), symmetric(bits)
    limit = threshold(observe(x), "mse", levels, kind)
    top = float(np.abs(x).max())
    best = min(squared_error(x, c * top, levels, kind) for c in np.linspace(0.2, 1, 400))
    assert squared_error(x, limit, levels, kind) <= best * 1.02
    assert 0.2 * top <= limit <= top


@pytest.mark.parametrize("observer", ["minmax", "mse", "percentile:50"])
def test_a_value_that_was_always_zero_has_threshold_one(observer: str) -> None:
    assert threshold(observe(np.zeros((4, 3))), observer, symmetric(8), "dyadic") == 1.0


@pytest.mark.parametrize("observer", ["minmax", "mse", "percentile:99.9"])
@pytest.mark.parametrize("top", [1e-44, 1e-30, 1e30])
def test_thresholds_are_positive_at_any_size(observer: str, top: float) -> None:
    x = np.linspace(0, 1, 50).reshape(5, 10) * top
    assert 0 < threshold(observe(x), observer, symmetric(8), "dyadic") <= top


def test_weight_thresholds_row_by_row() -> None:
    rows = np.array([[1.0, -4.0, 2.0, 0.5], [0, 0, 0, 0], [8.0, 1.0, 1.0, 1.0]])
    assert weight_thresholds(rows, "minmax", symmetric(4), "dyadic").tolist() == [4, 0, 8]
    assert weight_thresholds(rows, "percentile:50", symmetric(4), "dyadic").tolist() == [1.5, 0, 1]
    mse = weight_thresholds(rows, "mse", symmetric(4), "dyadic")
    assert mse[1] == 0
    for row, limit in zip(rows[[0, 2]], mse[[0, 2]], strict=True):
        candidates = np.linspace(0.2, 1, 81) * np.abs(row).max()
        best = min(squared_error(row, c, symmetric(4), "dyadic") for c in candidates)
        assert squared_error(row, limit, symmetric(4), "dyadic") == pytest.approx(best)


@pytest.mark.parametrize(
    "name", ["percentile", "percentile:0", "percentile:101", "percentile:x", "max", "percentile:nan"]
)
def test_unknown_observers(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        percentile(name)
    assert str(caught.value) == (
        f"there is no observer '{name}'\n"
        "  why  the observers are auto, minmax, mse and percentile:P with 0 < P <= 100\n"
        "  fix  for instance percentile:99.9"
    )
    assert percentile("percentile:99.9") == 99.9
