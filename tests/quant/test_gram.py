"""Gram matrices: the windows are those of the convolution, the moments those of numpy, the error that of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arithmos.ir.ops import FLOAT
from arithmos.quant.gram import features, gram, windows

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
    assert np.allclose(seen.mean, every.mean(axis=1))
    assert np.allclose(seen.centred[1], np.cov(every[1].T, bias=True))


def test_the_squared_error_of_a_layer_needs_only_the_gram_matrix() -> None:
    x, error = RNG.normal(size=(1, 200, 7)), RNG.normal(size=(4, 7))
    direct = ((x[0] @ error.T) ** 2).mean(axis=0)
    assert np.allclose(direct, (error @ gram([x]).matrix[0] * error).sum(axis=1))
