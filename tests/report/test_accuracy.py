"""Accuracy counts right answers of both networks on the same samples, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.report.accuracy import Accuracy, measure, wilson


def one_hot(classes: list[int]) -> np.ndarray:
    return np.eye(4)[classes]


def test_counts_are_paired() -> None:
    labels = [0, 1, 2, 3, 0]
    batches = [(one_hot([0, 1, 2, 0, 0]), np.array(labels))]
    result = measure(lambda x: x, lambda x: one_hot([0, 1, 1, 3, 1]), iter(batches))
    assert result == Accuracy(total=5, float_correct=4, integer_correct=3, both=2, same=2)
    assert result.difference_points == pytest.approx(-20)


def test_batches_add_up() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(40, 4)), rng.integers(0, 4, 40)
    whole = measure(lambda x: x, lambda x: np.floor(x), [(logits, labels)])
    cut = measure(lambda x: x, lambda x: np.floor(x), [(logits[:7], labels[:7]), (logits[7:], labels[7:])])
    assert whole == cut


def test_no_samples_give_no_accuracy() -> None:
    assert measure(lambda x: x, lambda x: x, iter(())) is None


def test_the_interval_is_the_published_one() -> None:
    # Agresti and Coull 1998 (Am. Stat. 52, 119) quote [0, 0.278] for 0 of 10 and the 95 % score interval.
    low, high = wilson(0, 10)
    assert low == 0 and high == pytest.approx(0.278, abs=5e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    correct, total = counts
    low, high = wilson(correct, total)
    assert 0 <= low <= correct / total + 1e-12 and correct / total - 1e-12 <= high <= 1
    other = wilson(total - correct, total)
    assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high))
