"""The usual training of a network: the first row that matches."""

from __future__ import annotations

import pytest

from arithmos.train.defaults import OTHERWISE, TABLE, literature, shortened, varies


@pytest.mark.parametrize(
    ("model", "dataset", "rate", "decay", "epochs"),
    [
        ("resnet20", "cifar10", 0.1, 1e-4, 200),
        ("cifar_resnet50", "cifar10", 0.1, 5e-4, 200),
        ("cifar_vgg11", "cifar10", 0.05, 5e-4, 200),
        ("resnet50", "imagenet", 0.1, 1e-4, 90),
        ("vgg16", "imagenet", 0.01, 1e-4, 90),
        ("inception_v3", "imagenet", 0.1, 4e-5, 90),
        ("lenet5", "mnist", 0.05, 5e-4, 20),
        ("digits_cnn", "digits", 1e-2, 1e-2, 30),
        ("my_file.py:make_model", "cifar10", 0.1, 5e-4, 200),
        ("anything", "unknown", 0.1, 1e-4, 200),
    ],
)
def test_each_network_has_its_own(model: str, dataset: str, rate: float, decay: float, epochs: int) -> None:
    config = literature(model, dataset).config
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay, config.epochs) == (rate, decay, epochs)


def test_every_row_says_whose_it_is() -> None:
    assert all(row.source for row in (*TABLE, OTHERWISE))


def test_help_knows_which_defaults_differ() -> None:
    assert varies("learning_rate") and varies("epochs") and not varies("seed") and not varies("momentum")


@pytest.mark.parametrize(("epochs", "warmup"), [(3, 0.9), (1, 0.3), (30, 9), (60, 9), (None, 9), (0, 9), ("3", 9)])
def test_fewer_epochs_have_a_warm_up_of_the_same_share(epochs: object, warmup: float) -> None:
    config = shortened(literature("digits_cnn", "digits").config, epochs)
    assert config.schedule.warmup_epochs == pytest.approx(warmup)
