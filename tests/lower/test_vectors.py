"""Vectors: what a layer multiplies by its rows, drawn at the same places in both networks, as many as are wanted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from arithmos.ir.graph import Node
from arithmos.ir.ops import FLOAT
from arithmos.lower import vectors as vectors_
from arithmos.lower.recipe import Recipe
from arithmos.lower.vectors import vectors

RNG = np.random.default_rng(0)
ATTRS = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}
CONV = Node("conv", ("x", "w"), "y", ATTRS)
LINEAR = Node("linear", ("x", "w"), "y", {})
WEIGHT = RNG.normal(size=(6, 2, 3, 2)).astype(np.float32)
PIECES = [RNG.normal(size=(n, 4, 9, 8)).astype(np.float32) for n in (5, 3)]
D = WEIGHT[0].size
POSITIONS = 4 * 9


def whole(*streams: Any, recipe: Recipe = Recipe(), **options: Any) -> list[np.ndarray]:
    """All batches of each stream in one: (groups, n, d)."""
    batches = list(vectors(CONV, WEIGHT, streams, recipe, (1, 2), **options))
    return [np.concatenate(parts, axis=1) for parts in zip(*batches, strict=True)]


def test_all_windows_are_what_the_convolution_multiplies() -> None:
    (x,) = whole(PIECES, most=10**6)
    assert x.shape == (2, 8 * POSITIONS, D) and x.dtype == np.float32
    products = np.matmul(x, WEIGHT.reshape(2, 3, D).transpose(0, 2, 1))
    made = np.concatenate([FLOAT["conv"].run(piece, WEIGHT, **ATTRS) for piece in PIECES])
    flat = np.moveaxis(made, 1, -1).reshape(-1, 2, 3).transpose(1, 0, 2)
    assert np.allclose(products, flat, atol=1e-5)


@pytest.mark.parametrize(("most", "count"), [(1, 1), (8 * 7, 7), (8 * 7 + 1, 8), (10**6, POSITIONS), (None, 30)])
def test_at_most_so_many_are_drawn_each_image_alike(most: int | None, count: int) -> None:
    (x,) = whole(PIECES, most=most)
    assert x.shape == (2, 8 * count, D)
    assert len(np.unique(x[0], axis=0)) == 8 * count, "without replacement"


def test_a_gram_matrix_is_made_of_so_many_vectors_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_, "ENOUGH", 4)
    assert whole(PIECES)[0].shape[1] == 8 * math.ceil(4 * D / 8)


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(rounding="gpfq", patches="published"), Recipe(rounding="gpfq", retain_rate=0.3)]
)
def test_networks_are_drawn_from_at_the_same_places(recipe: Recipe) -> None:
    x, y = whole(PIECES, [2 * piece for piece in PIECES], recipe=recipe, most=40)
    assert np.array_equal(2 * x, y)
    again, _ = whole(PIECES, PIECES, recipe=recipe, most=40)
    assert np.array_equal(x, again)
    other = np.concatenate([x for (x,) in vectors(CONV, WEIGHT, [PIECES], recipe, (1, 3), 40)], axis=1)
    assert x.shape != other.shape or not np.array_equal(x, other)


def test_pieces_are_not_drawn_from_alike() -> None:
    """The same images twice: nothing says that the same places are enough."""
    (x,) = whole([PIECES[0], PIECES[0]], most=40)
    assert not np.array_equal(x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :])


@pytest.mark.parametrize(("rate", "count"), [(0.001, 1), (0.25, 9), (1.0, POSITIONS)])
def test_a_rate_is_the_share_of_all_windows(rate: float, count: int) -> None:
    (x,) = whole(PIECES, recipe=Recipe(rounding="gpfq", retain_rate=rate), most=1)
    assert x.shape == (2, 8 * count, D)


@pytest.mark.parametrize(("rate", "count"), [(None, 4), (0.5, 7), (1.0, 12)])
def test_published_windows_are_apart_and_weighed(rate: float | None, count: int) -> None:
    """3 x 4 windows side by side; a window drawn k times counts k times in every sum of squares."""
    ones = [np.ones_like(piece) for piece in PIECES]
    recipe, padless = (
        Recipe(rounding="gpfq", patches="published", retain_rate=rate),
        {**ATTRS, "padding": ((0, 0), (2, 0))},
    )
    node = Node("conv", ("x", "w"), "y", padless)
    (x,) = (np.concatenate(p, axis=1) for p in zip(*vectors(node, WEIGHT, [ones], recipe, (1, 2)), strict=True))
    assert x.dtype == np.float64 and x.shape[1] < 8 * count
    assert np.allclose(np.square(x[:, :, 1]).sum(axis=1), 8 * count)


def test_windows_are_unfolded_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    (x,) = whole(PIECES, most=10**6)
    monkeypatch.setattr(vectors_, "CHUNK", 2 * 4 * 6 * 9 * 8)  # two images of windows, were the stride 1
    for recipe in (Recipe(), Recipe(rounding="gpfq", retain_rate=1.0)):
        batches = [batch for (batch,) in vectors(CONV, WEIGHT, [PIECES], recipe, (1, 2), 10**6)]
        assert [batch.shape[1] // POSITIONS for batch in batches] == [2, 2, 1, 2, 1]
        assert np.array_equal(np.concatenate(batches, axis=1), x)


def test_rows_of_a_linear_layer_over_positions() -> None:
    pieces, weight = [RNG.normal(size=(n, 6, 5)).astype(np.float32) for n in (4, 2)], np.zeros((3, 5))
    every = np.concatenate(pieces).reshape(1, 36, 5)
    for recipe, most, n in (
        (Recipe(), 10**6, 36),
        (Recipe(), 12, 12),
        (Recipe(rounding="gpfq", patches="published"), 12, 36),
    ):
        batches = list(vectors(LINEAR, weight, [pieces], recipe, (0,), most))
        x = np.concatenate([batch for (batch,) in batches], axis=1)
        assert x.shape == (1, n, 5) and x.dtype == (np.float64 if recipe.patches == "published" else np.float32)
        if n == 36:
            assert np.array_equal(x, every)
