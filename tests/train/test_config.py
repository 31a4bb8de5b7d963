"""The configuration of a training: flat names, every problem at once, TOML there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.train.config import Config, Optimizer, as_mapping, as_toml, differences, from_mapping, leaves, read_config


def test_names_are_flat_and_unique() -> None:
    names = list(leaves())
    assert len(names) == len(set(names)) == 16
    assert list(as_mapping(Config())) == names
    assert all(field.metadata["help"] for field, _ in leaves().values())


def test_a_mapping_goes_there_and_back() -> None:
    config = Config(epochs=7, optimizer=Optimizer(optimizer="adamw", learning_rate=0.01))
    assert from_mapping(as_mapping(config)) == config
    assert from_mapping({"milestones": [0.3, 0.6]}, base=config).schedule.milestones == (0.3, 0.6)


def test_toml_goes_there_and_back(tmp_path: Path) -> None:
    config = Config(epochs=7, mixup=0.2)
    file = tmp_path / "training.toml"
    file.write_text(as_toml(config))
    assert read_config(file) == config
    assert "# alpha of mixup" in file.read_text()


def test_every_unknown_key_is_named_with_the_closest_one() -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping({"epoch": 3, "learning_rat": 1, "x": 0}, "training.toml")
    assert str(caught.value).startswith(
        "this training has unknown keys\n"
        "  at   training.toml\n"
        "  why  there is no 'epoch', did you mean 'epochs'?\n"
        "       there is no 'learning_rat', did you mean 'learning_rate'?\n"
        "       there is no 'x'\n"
        "  fix  the keys are epochs, batch_size, seed, "
    )


def test_every_wrong_value_is_named() -> None:
    wrong = {
        "epochs": 0,
        "batch_size": 1.5,
        "learning_rate": -1,
        "nesterov": 1,
        "optimizer": "adam",
        "milestones": [0.5, 2],
        "mixup": True,
        "momentum": 1.0,
    }
    with pytest.raises(UsageError) as caught:
        from_mapping(wrong)
    assert caught.value.why.splitlines() == [
        "epochs must be an integer from 1 on, got 0",
        "batch_size must be an integer from 1 on, got 1.5",
        "mixup must be a number from 0 on, got True",
        "optimizer must be one of sgd, adamw, got 'adam'",
        "learning_rate must be a number from 0 on, got -1",
        "momentum must be a number from 0 to 0.9999, got 1.0",
        "nesterov must be true or false, got 1",
        "milestones must be numbers from 0 to 1, got 2",
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"epochs": 5, "warmup_epochs": 5}, "warmup_epochs must be fewer than the 5 epochs, got 5"),
        ({"milestones": [0.7, 0.2]}, "milestones must grow, got 0.7, 0.2"),
        ({"milestones": 3}, "milestones must be a list of numbers, got 3"),
        ({"learning_rate": 0}, "learning_rate must be more than 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number from 0 on, got nan"),
        ({"momentum": 0}, "nesterov needs a momentum, got 0"),
    ],
)
def test_values_that_do_not_go_together(given: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(given)
    assert caught.value.why == why


def test_a_configuration_made_in_python_is_checked_too() -> None:
    with pytest.raises(UsageError, match="epochs must be an integer from 1 on, got 0"):
        Config(epochs=0)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the configuration cannot be read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs = ")
    with pytest.raises(UsageError, match="the configuration is not TOML"):
        read_config(tmp_path / "bad.toml")


def test_differences_name_both_values() -> None:
    stored, asked = {"epochs": 3, "milestones": [0.5], "old": 1}, {"epochs": 4, "milestones": (0.5,), "new": 2}
    assert differences(stored, asked) == [
        "epochs: 3 there, 4 here",
        "old: 1 there, none here",
        "new: none there, 2 here",
    ]
