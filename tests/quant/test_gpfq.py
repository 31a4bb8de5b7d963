"""GPFQ: the Gram form, and the form in blocks of columns, give the integers of the recursion on the vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arithmos.quant.descent import descend
from arithmos.quant.feedback import BLOCK
from arithmos.quant.gpfq import gpfq, gpfq_vectors
from arithmos.quant.gram import energy_order, gram, gram_of_pairs
from arithmos.quant.grid import published, symmetric
from arithmos.quant.quantiser import Quantiser, hard, nearest, soft, stochastic
from quant.direct import path_following, vectors

LEVELS = published(3)


def followed(
    real: np.ndarray, quantise: Quantiser, *vectors: np.ndarray, order: np.ndarray | None = None, cuts: int = 2
) -> np.ndarray:
    """The integers of the form without a Gram matrix, from vectors cut into batches."""
    batches = list(zip(*(np.array_split(v, cuts, axis=1) for v in vectors), strict=True))
    return gpfq_vectors(real, np.ones(real.shape[:2]), quantise, batches, order=order)[0]


SHAPES = [(1, 5, 7), (2, 3, BLOCK), (1, 4, 2 * BLOCK + 9), (24, 1, 9), (3, 6, 20)]


def quantisers(groups: int, rows: int) -> dict[str, Callable[[], Quantiser]]:
    """Each made afresh for every solver: a seeded generator starts over."""
    rng = np.random.default_rng(5)
    thresholds, gaps = rng.uniform(0, 0.6, (groups, rows)), rng.integers(0, 3, (groups, rows))
    return {
        "nearest": lambda: nearest(LEVELS),
        "odd": lambda: nearest(symmetric(1), odd=True),
        "stochastic": lambda: stochastic(LEVELS, np.random.default_rng(9)),
        "soft": lambda: soft(LEVELS, thresholds),
        "hard": lambda: hard(LEVELS, gaps, gaps + 0.2),
    }


def weights(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape) * 1.7


@pytest.mark.parametrize("name", ["nearest", "odd", "stochastic", "soft", "hard"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [3.0, 0.4])
def test_the_same_integers_as_on_the_vectors(shape: tuple[int, int, int], name: str, share: float) -> None:
    groups, rows, d = shape
    x, y = vectors(d, groups, max(int(share * d), 2), d)
    x[:, :, 1], y[:, :, 2] = 0, 0  # never seen in the quantised network, never in the float one
    real, make = weights(shape), quantisers(groups, rows)[name]
    wanted = path_following(real, make(), x, y)
    found = gpfq(real, make(), gram_of_pairs([(x, y)]))
    assert found.dtype == np.int64 and np.array_equal(found, wanted)
    assert np.array_equal(followed(real, make(), x, y), wanted)
    assert np.array_equal(found[:, :, 1], make()(np.zeros((groups, rows)))) or name == "stochastic"
    assert (wanted != make()(real.transpose(2, 0, 1)).transpose(1, 2, 0)).any()  # feedback matters


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_inputs(shape: tuple[int, int, int]) -> None:
    _, x = vectors(7, shape[0], 3 * shape[2], shape[2])
    wanted = path_following(weights(shape), nearest(LEVELS), x, x)
    assert np.array_equal(gpfq(weights(shape), nearest(LEVELS), gram([x])), wanted)
    assert np.array_equal(followed(weights(shape), nearest(LEVELS), x), wanted)


def test_in_another_order() -> None:
    shape = (2, 4, BLOCK + 5)
    x, y = vectors(3, 2, 200, shape[2])
    order = energy_order(np.square(x).sum(axis=1))
    inside = path_following(weights(shape)[:, :, order], nearest(LEVELS), x[:, :, order], y[:, :, order])
    wanted = np.empty_like(inside)
    wanted[:, :, order] = inside
    moments = gram_of_pairs([(x, y)])
    assert np.array_equal(gpfq(weights(shape), nearest(LEVELS), moments, order=order), wanted)
    assert np.array_equal(followed(weights(shape), nearest(LEVELS), x, y, order=order), wanted)
    assert not np.array_equal(gpfq(weights(shape), nearest(LEVELS), moments), wanted)


def test_vectors_of_float32_that_are_mapped_from_a_file(tmp_path: object) -> None:
    x, y = (v.astype(np.float32) for v in vectors(4, 1, 30, 80))
    np.save(f"{tmp_path}/x.npy", x)
    mapped = np.load(f"{tmp_path}/x.npy", mmap_mode="r")
    real = weights((1, 5, 80))
    wanted = path_following(real, nearest(LEVELS), x.astype(np.float64), y.astype(np.float64))
    assert np.array_equal(followed(real, nearest(LEVELS), mapped, y), wanted)


def test_what_the_integers_leave() -> None:
    """Steps of their own, weights of float32, columns that lie in memory one after the other."""
    x, y = (np.asarray(np.ascontiguousarray(v.transpose(0, 2, 1)).transpose(0, 2, 1)) for v in vectors(6, 2, 50, 70))
    weight, steps = weights((2, 4, 70)).astype(np.float32), np.random.default_rng(2).uniform(0.2, 0.9, (2, 4))
    wanted = path_following(weight / steps[:, :, None], nearest(LEVELS), x, y)
    found, left = gpfq_vectors(weight, steps, nearest(LEVELS), [(x[:, :9], y[:, :9]), (x[:, 9:], y[:, 9:])])
    residual = np.matmul(weight, y.transpose(0, 2, 1)) - np.matmul(steps[:, :, None] * wanted, x.transpose(0, 2, 1))
    assert np.array_equal(found, wanted) and np.allclose(left, np.square(residual).sum(axis=2))


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 4), st.integers(1, 12), st.integers(1, 20))
def test_of_any_shape(seed: int, groups: int, rows: int, d: int, n: int) -> None:
    x, y = vectors(seed, groups, n, d)
    real = np.random.default_rng(seed).normal(size=(groups, rows, d))
    wanted = path_following(real, nearest(LEVELS), x, y)
    assert np.array_equal(gpfq(real, nearest(LEVELS), gram_of_pairs([(x, y)])), wanted)
    assert np.array_equal(followed(real, nearest(LEVELS), x, y), wanted)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("convention", [published, symmetric])
def test_every_width(bits: int, convention: Callable[[int], object]) -> None:
    levels = published(bits) if convention is published else symmetric(bits)
    _, x = vectors(bits, 1, 60, 20)
    real = weights((1, 8, 20)) * levels.hi / 2
    found = gpfq(real, nearest(levels), gram([x]))
    assert (found.min(), found.max()) == (levels.lo, levels.hi)
    assert np.array_equal(found, path_following(real, nearest(levels), x, x))


def test_rows_of_zeros_and_inputs_of_zeros() -> None:
    x, y = vectors(2, 2, 40, 10)
    real = weights((2, 3, 10))
    real[0, 1] = 0
    assert not gpfq(real, nearest(LEVELS), gram_of_pairs([(x, y)]))[0, 1].any()
    assert not gpfq(real, nearest(LEVELS), gram_of_pairs([(0 * x, y)])).any()
    assert not followed(real, nearest(LEVELS), 0 * x, y).any()


def test_with_more_weights_than_vectors_little_error_is_left() -> None:
    _, x = vectors(0, 1, 20, 300)
    real = np.random.default_rng(3).uniform(-1, 1, (1, 16, 300))
    followed, rounded = gpfq(real, nearest(published(1)), gram([x])), nearest(published(1))(real)
    left, before = (np.square(np.matmul(x, (real - q).transpose(0, 2, 1))).sum() for q in (followed, rounded))
    assert left < 0.1 * before


@pytest.mark.parametrize("size", [1e-15, 1e-30, 1e-110, 1e-170])
def test_inputs_that_are_hardly_ever_seen(size: float) -> None:
    x, y = vectors(2, 2, 40, 10)
    x[0, :, 4], x[1] = size * x[0, :, 4], size * x[1]
    real = weights((2, 3, 10))
    moments = gram_of_pairs([(x, y)])
    for make in (quantisers(2, 3)["nearest"], quantisers(2, 3)["stochastic"]):
        found = gpfq(real, make(), moments)
        assert np.abs(found).max() <= LEVELS.hi and np.array_equal(found, followed(real, make(), x, y))
    start = gpfq(real, nearest(LEVELS), moments)
    moved = descend(real, start, nearest(LEVELS), moments.matrix, cross=moments.cross)
    assert np.abs(moved).max() <= LEVELS.hi
