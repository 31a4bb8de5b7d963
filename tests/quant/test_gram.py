"""Gram matrices: the windows are those of the convolution, the moments those of numpy, the error that of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arithmos.ir.ops import FLOAT
from arithmos.quant.gram import (
    damped,
    energy_order,
    features,
    gram,
    gram_of_pairs,
    published_patches,
    reordered,
    windows,
)

RNG = np.random.default_rng(0)


def geometry(**other: Any) -> dict[str, Any]:
    return {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, **other}


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((2, 3, 6, 5), (4, 3, 3, 3), geometry()),
        ((3, 4, 7, 7), (6, 2, 3, 2), geometry(stride=(2, 1), padding=((0, 1), (2, 0)), dilation=(1, 2), groups=2)),
        ((2, 6, 5, 5), (6, 1, 3, 3), geometry(stride=(2, 2), groups=6)),
        ((2, 4, 11), (3, 4, 3), {"stride": (2,), "padding": ((2, 0),), "dilation": (2,), "groups": 1}),
    ],
)
def test_the_windows_are_what_the_convolution_multiplies(
    x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    array, weight = RNG.normal(size=x).astype(np.float32), RNG.normal(size=w).astype(np.float32)
    rows = windows(array, RNG, 10**6, kernel=w[2:], **attrs)
    groups = attrs["groups"]
    products = np.matmul(rows, weight.reshape(groups, w[0] // groups, -1).transpose(0, 2, 1))  # (groups, n, rows)
    y = FLOAT["conv"].run(array, weight, **attrs)
    flat = np.moveaxis(y, 1, -1).reshape(-1, groups, w[0] // groups).transpose(1, 0, 2)
    assert np.allclose(products, flat, atol=1e-5)


def test_windows_are_drawn_without_replacement() -> None:
    x = np.arange(2 * 49, dtype=np.float32).reshape(2, 1, 7, 7)
    attrs = geometry(padding=((0, 0), (0, 0)))
    rows = windows(x, np.random.default_rng(1), 10, kernel=(1, 1), **attrs)
    assert rows.shape == (1, 20, 1) and len(np.unique(rows)) == 20
    again = windows(x, np.random.default_rng(1), 10, kernel=(1, 1), **attrs)
    assert np.array_equal(rows, again)


def test_features_of_a_linear_layer() -> None:
    x = RNG.normal(size=(5, 4, 3, 6)).astype(np.float32)
    assert np.array_equal(features(x, RNG, 100), x.reshape(1, -1, 6))
    assert features(x, RNG, 2).shape == (1, 10, 6)
    assert features(x[:, 0, 0], RNG, 1).shape == (1, 5, 6)


def test_moments() -> None:
    batches = [RNG.normal(size=(2, n, 3)) for n in (5, 1, 9)]
    every = np.concatenate(batches, axis=1)
    seen = gram(batches)
    assert seen.n == 15
    assert np.allclose(seen.matrix, np.einsum("gni,gnj->gij", every, every) / 15)


def test_the_squared_error_of_a_layer_needs_only_the_gram_matrix() -> None:
    x, error = RNG.normal(size=(1, 200, 7)), RNG.normal(size=(4, 7))
    direct = ((x[0] @ error.T) ** 2).mean(axis=0)
    assert np.allclose(direct, (error @ gram([x]).matrix[0] * error).sum(axis=1))


def test_moments_of_pairs() -> None:
    pairs = [(RNG.normal(size=(2, n, 3)), RNG.normal(size=(2, n, 3))) for n in (5, 1, 9)]
    x, y = (np.concatenate(parts, axis=1) for parts in zip(*pairs, strict=True))
    seen, alone = gram_of_pairs(iter(pairs)), gram([x])
    assert seen.n == 15 and seen.cross is not None and alone.cross is None
    assert np.allclose(seen.matrix, alone.matrix)
    assert np.allclose(seen.cross, np.einsum("gnt,gns->gts", x, y) / 15)


def test_moments_of_float32_are_sums_in_float64() -> None:
    batches = [np.full((1, 1, 2), value, dtype=np.float32) for value in (4096.0, 1.0, 1.0, 1.0, 1.0)]
    assert gram(batches).matrix[0, 0, 1] == (4096.0**2 + 4) / 5  # float32 has lost the ones
    cross = gram_of_pairs([(b, b) for b in batches]).cross
    assert cross is not None and cross.dtype == np.float64 and cross[0, 0, 1] == (4096.0**2 + 4) / 5
    assert gram(batches).matrix.dtype == np.float64 and gram(batches[:1]).matrix.dtype == np.float64


def test_no_vectors() -> None:
    empty = [np.zeros((2, 0, 3))]
    assert not gram(empty).matrix.any() and gram(empty).n == 0
    seen = gram_of_pairs([(empty[0], empty[0])])
    assert seen.cross is not None and not seen.cross.any() and seen.matrix.shape == (2, 3, 3)


def test_damping_raises_the_diagonals_of_both() -> None:
    x, y = RNG.normal(size=(2, 3, 9, 4))
    x[2] = 0
    moments = gram_of_pairs([(x, y)])
    raised = damped(moments, 0.5)
    added = 0.5 * np.einsum("gii->g", moments.matrix)[:, None, None] / 4 * np.eye(4)
    assert moments.cross is not None and raised.cross is not None
    assert np.allclose(raised.matrix, moments.matrix + added) and np.allclose(raised.cross, moments.cross + added)
    assert not raised.matrix[2].any()
    assert damped(gram([x]), 0.5).cross is None and np.array_equal(damped(gram([x]), 0).matrix, gram([x]).matrix)


def test_another_order_of_the_columns() -> None:
    x, y = RNG.normal(size=(2, 2, 30, 5)) * np.array([1.0, 4.0, 2.0, 4.0, 0.0])
    order = energy_order(np.array([[1.0, 4.0, 2.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0, 3.0]]))
    assert order.tolist() == [1, 3, 4, 2, 0]
    seen, wanted = reordered(gram_of_pairs([(x, y)]), order), gram_of_pairs([(x[:, :, order], y[:, :, order])])
    assert np.allclose(seen.matrix, wanted.matrix)
    assert seen.cross is not None and wanted.cross is not None and np.allclose(seen.cross, wanted.cross)
    assert reordered(gram([x]), order).cross is None


PATCHES = {"kernel": (3, 3), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
APART = {"kernel": (3, 3), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize(("rate", "count"), [(1.0, 16), (0.25, 5), (0.3, 5), (0.01, 1), (0.999, 16)])
def test_published_patches_are_counted_as_published(rate: float, count: int) -> None:
    """Side 11 padded to 13: 4 x 4 windows of side 3 side by side, int(rate * 16 + 1) of them; all 16 at rate 1."""
    x = np.ones((3, 4, 11, 11), dtype=np.float32)
    rows = published_patches(x, np.random.default_rng(2), rate, groups=2, **PATCHES)
    assert rows.shape[::2] == (2, 2 * 9) and rows.dtype == np.float64
    assert np.allclose(np.square(rows[:, :, [4, 13]]).sum(axis=1), 3 * count)  # centres are never padding


def test_published_patches_are_side_by_side_and_drawn_with_replacement() -> None:
    """One drawn k times stands there once, times sqrt(k), so that the Gram matrix is that of all that were drawn."""
    x = np.arange(1.0, 2 * 81 + 1).reshape(2, 1, 9, 9)
    every = windows(x, RNG, 10**6, stride=(3, 3), **APART)
    assert every.shape == (1, 18, 9) and len(np.unique(every)) == every.size  # no number twice: no overlap
    rows = published_patches(x, np.random.default_rng(0), 1.0, **APART)
    drawn = np.random.default_rng(0).integers(9, size=(2, 9)) + np.array([[0], [9]])
    assert rows.shape[1] == len(np.unique(drawn)) < 18
    assert np.allclose(
        rows.transpose(0, 2, 1) @ rows, every[:, drawn.ravel()].transpose(0, 2, 1) @ every[:, drawn.ravel()]
    )
    assert np.array_equal(rows, published_patches(x, np.random.default_rng(0), 1.0, **APART))
    assert not np.array_equal(rows, published_patches(x, np.random.default_rng(1), 1.0, **APART))


def test_published_patches_of_two_networks_are_of_the_same_places() -> None:
    x = RNG.normal(size=(2, 4, 9, 9))
    one, other = (published_patches(v, np.random.default_rng(3), 0.5, groups=4, **PATCHES) for v in (x, 2 * x))
    assert one.shape[::2] == (4, 9) and one.shape[1] <= 2 * 5 and np.array_equal(2 * one, other)
