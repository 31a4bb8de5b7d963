"""Ranks of labels: ties as argmax breaks them, and NaN is never right."""

from __future__ import annotations

import numpy as np

from arithmos.sweep.ranks import ranks_in, top


def test_ranks_are_places_in_the_sorted_outputs() -> None:
    rng = np.random.default_rng(0)
    outputs, labels = rng.integers(0, 4, (200, 7)), rng.integers(0, 7, 200)  # few values: many ties
    order = np.argsort(-outputs, axis=1, kind="stable")
    found = ranks_in(outputs, labels)
    assert np.array_equal(found, (order == labels[:, None]).argmax(axis=1))
    assert np.array_equal(found == 0, outputs.argmax(axis=1) == labels)


def test_what_is_no_number_is_wrong() -> None:
    outputs = np.array([[np.nan] * 6, [1.0, np.nan, 0, 0, 0, 0], [0, 0, 0, 0, 0, 5.0]])
    assert ranks_in(outputs, np.array([0, 0, 5])).tolist() == [6, 1, 0]


def test_accuracies() -> None:
    assert top(np.array([0, 1, 4, 5]), 1) == 0.25
    assert top(np.array([0, 1, 4, 5]), 5) == 0.75
