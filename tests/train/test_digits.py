"""The digits network is good enough for the demonstration, and training it is reproducible."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from arithmos.models.registry import build  # noqa: E402
from arithmos.train.defaults import literature  # noqa: E402
from arithmos.train.digits import Trained, train_digits  # noqa: E402


@cache
def trained() -> Trained:
    return train_digits(build("digits_cnn"))


@pytest.mark.slow
def test_the_digits_network_reaches_98_percent_on_images_it_has_not_seen() -> None:
    assert (trained().n_train, trained().n_test) == (1348, 449)
    assert trained().accuracy >= 0.98
    assert not trained().model.training


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_other_splits_too(seed: int) -> None:
    assert train_digits(build("digits_cnn", seed=seed), seed=seed).accuracy >= 0.98


def test_the_same_seed_gives_the_same_weights() -> None:
    config = literature("digits_cnn", "digits").config
    short = replace(config, epochs=2, schedule=replace(config.schedule, warmup_epochs=1))
    one, two, other = (train_digits(build("digits_cnn"), config=short, seed=seed).model for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
