"""Training is reproducible, and the digits network is good enough for the demonstration."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from arithmos.models.registry import build
from arithmos.train.digits import Trained, train_digits
from arithmos.train.loop import Schedule, accuracy, fit

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')


@cache
def trained() -> Trained:
    return train_digits(build("digits_cnn"))


def test_the_digits_network_reaches_98_percent_on_images_it_has_not_seen() -> None:
    assert (trained().n_train, trained().n_test) == (1348, 449)
    assert trained().accuracy >= 0.98
    assert not trained().model.training


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_other_splits_too(seed: int) -> None:
    assert train_digits(build("digits_cnn"), seed=seed).accuracy >= 0.98


def test_the_same_seed_gives_the_same_weights_from_any_start() -> None:
    short = Schedule(epochs=2)
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    one, other, third = (build("digits_cnn", seed=seed) for seed in (1, 2, 3))
    for model, seed in ((one, 0), (other, 0), (third, 1)):
        train_digits(model, schedule=short, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.fc.weight, third.fc.weight)


def test_accuracy_is_the_share_of_right_images_over_all_batches() -> None:
    model = torch.nn.Identity()
    batches = [
        (np.eye(3, dtype=np.float32), np.asarray([0, 1, 0])),
        (np.zeros((2, 3), np.float32), np.asarray([0, 1])),  # a tie goes to the lower class
    ]
    assert accuracy(model, iter(batches)) == 3 / 5


def test_fit_learns_a_separable_problem() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    images = (np.eye(3)[labels] + 0.1 * rng.standard_normal((200, 3))).astype(np.float32)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    fit(model, images, labels, schedule=Schedule(epochs=5, batch_size=25, learning_rate=0.1))
    assert accuracy(model, [(images, labels)]) > 0.99
