"""The vectors that a layer multiplies by its weights: windows of a convolution, rows of a linear layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from arithmos.ir.graph import Node, Shape
from arithmos.ir.ops.window import window_count
from arithmos.lower.recipe import Recipe
from arithmos.quant.gram import features, published_patches, windows

ENOUGH = 20
"""A Gram matrix of d * d numbers is estimated from at most so many times d vectors (measured: more gain nothing)."""

CHUNK = 1 << 25
"""Numbers that are unfolded into windows at once: 128 MB."""

PUBLISHED_RATE = 0.25
"""Share of the published windows that is drawn where the recipe does not say."""

Batches = Iterator[tuple[np.ndarray, ...]]
"""Batches of shape (groups, n, d): (X~,), or (X~, X) of the same places in the quantized and the float network."""


def vectors(
    node: Node,
    weight: np.ndarray,
    streams: Sequence[Sequence[np.ndarray]],
    recipe: Recipe,
    seed: Sequence[int],
    most: int | None = None,
) -> Batches:
    """The vectors of a conv or linear with this weight, from the inputs it has in one network or in several.

    streams: for each network its inputs piece by piece, (images, channels, space...) or (samples, ..., features); all
    streams are drawn from at the same places. seed: of the draw. most: vectors in all, ENOUGH * d where it is None.
    """
    draw = _windows if node.op == "conv" else _features
    n_samples = sum(len(x) for x in streams[0])
    wanted = -(-(most or ENOUGH * weight[0].size) // n_samples)
    for index, together in enumerate(zip(*streams, strict=True)):
        at_once = _at_once(node, weight, together[0], recipe, wanted)
        for start in range(0, len(together[0]), at_once):
            key = (*seed, index, start)
            yield tuple(
                draw(node, weight, x[start : start + at_once], recipe, np.random.default_rng(key), wanted)
                for x in together
            )


def _at_once(node: Node, weight: np.ndarray, x: np.ndarray, recipe: Recipe, wanted: int) -> int:
    """Images whose windows fit CHUNK numbers."""
    if node.op == "linear":
        return len(x)
    places = int(math.prod(x.shape[2:]))
    kept = places if recipe.patches == "published" or recipe.retain_rate else min(wanted, places)
    return int(max(1, CHUNK // (x.shape[1] * math.prod(weight.shape[2:]) * kept)))


def _windows(
    node: Node, weight: np.ndarray, x: np.ndarray, recipe: Recipe, rng: np.random.Generator, wanted: int
) -> np.ndarray:
    kernel = weight.shape[2:]
    if recipe.patches == "published":
        rate = PUBLISHED_RATE if recipe.retain_rate is None else recipe.retain_rate
        geometry = {name: node.attrs[name] for name in ("padding", "dilation", "groups")}
        return published_patches(x, rng, rate, kernel=kernel, **geometry)
    return windows(x, rng, _kept(node, x, kernel, recipe, wanted), kernel=kernel, **node.attrs)


def _kept(node: Node, x: np.ndarray, kernel: Shape, recipe: Recipe, wanted: int) -> int:
    """Windows of an image that are drawn."""
    if recipe.retain_rate is None:
        return wanted
    counts = window_count(x.shape[2:], kernel, *(node.attrs[name] for name in ("stride", "padding", "dilation")))
    return max(1, round(recipe.retain_rate * math.prod(counts)))


def _features(
    node: Node, weight: np.ndarray, x: np.ndarray, recipe: Recipe, rng: np.random.Generator, wanted: int
) -> np.ndarray:
    published = recipe.patches == "published"  # the published code draws windows alone, and sees every row
    rows = features(x, rng, x.size // (len(x) * x.shape[-1]) if published else wanted)
    return rows.astype(np.float64) if published else rows
