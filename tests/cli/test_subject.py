"""The subject of a quantization: what the weights of a training say of data and normalisation, and who goes first."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.cli.subject import Subject, load_subject  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.train.checkpoint import write_weights  # noqa: E402
from arithmos.train.data.preparation import Preparation  # noqa: E402

NOT_GIVEN: dict[str, Any] = dict.fromkeys(("example", "input_size", "classes", "dataset", "mean", "std")) | {"seed": 0}
TRAINED = Preparation(mean=(0.3,), std=(0.1,))


def subject(tmp_path: Path, model: str, facts: dict[str, Any], **given: Any) -> Subject:
    """The subject of the model with weights of 10 classes and these facts in their file."""
    file = tmp_path / "best.safetensors"
    options = {"classes": 10} if model != "digits_cnn" else {}
    write_weights(file, build(model, **options).state_dict(), facts)
    return load_subject(model, file, {**NOT_GIVEN, **given}, need_weights=True)


def facts(dataset: str, **more: Any) -> dict[str, Any]:
    return {"model": "it", "dataset": dataset, "preparation": asdict(TRAINED), "epoch": 3, "accuracy": 0.5, **more}


def test_weights_of_a_training_bring_data_set_and_normalisation(tmp_path: Path) -> None:
    found = subject(tmp_path, "digits_cnn", facts("digits"))
    assert found.preparation == Preparation(channels=1, mean=(0.3,), std=(0.1,)) and found.dataset == "digits"


def test_pictures_are_resized_as_they_were_in_the_training(tmp_path: Path) -> None:
    found = subject(tmp_path, "resnet8", facts("digits"))
    assert found.dataset == "digits" and found.preparation is not None and found.preparation.crop == 32


def test_a_flag_goes_before_what_the_weights_say(tmp_path: Path) -> None:
    found = subject(tmp_path, "resnet8", facts("digits"), dataset="cifar10", mean=(0.5,))
    assert found.dataset == "cifar10" and found.preparation == Preparation(mean=(0.5,), std=(0.1,))


def test_the_classes_are_those_of_the_data_set(tmp_path: Path) -> None:
    found = subject(tmp_path, "resnet18", facts("digits"))
    assert found.name == "resnet18" and found.network.fc.out_features == 10


@pytest.mark.parametrize(
    "other",
    [{}, {"dataset": "digits"}, facts("nowhere"), facts("digits", preparation="x"), facts("digits", preparation=[])],
)
def test_headers_of_other_origin_say_nothing(other: dict[str, Any], tmp_path: Path) -> None:
    found = subject(tmp_path, "digits_cnn", other)
    assert found.dataset == "digits" and found.preparation == Preparation(channels=1)
