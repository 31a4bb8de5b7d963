"""`arithmos models`, and networks of the zoo named in other ways, at other sizes, for other classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from arithmos.cli.subject import load_subject
from arithmos.models.registry import build, entry

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')


def test_the_table(arithmos: Any) -> None:
    text = arithmos("models", "cifar_vgg11").stdout.splitlines()
    assert " ".join(text[0].split()) == "model data set input classes parameters MACs runs on source"
    row = " ".join(text[1].split())
    assert row.startswith("cifar_vgg11 cifar10 3x32x32 10 9,750,922 153,293,824 engine onnx c ")


def test_a_name_in_another_spelling(arithmos: Any) -> None:
    assert [m["name"] for m in json.loads(arithmos("models", "ResNet-50", "--json").stdout)] == ["resnet50"]


@pytest.mark.slow
def test_every_target_is_checked(arithmos: Any) -> None:
    result = arithmos("models", "lenet5", "--check", "all")
    lines = result.stdout.splitlines()
    assert lines[:5] == [f"lenet5: {target} runs it" for target in ("engine", "onnx", "c", "zk", "ezkl")]
    assert lines[5].startswith("lenet5: target 'zkcnn' cannot run")  # it takes powers of two alone
    assert result.exit_code == 4


def test_check_at_a_size_that_leaves_nothing(arithmos: Any) -> None:
    result = arithmos("models", "lenet5", "--check", "c", "--input-size", "8")
    assert result.exit_code == 2
    assert "'lenet5' cannot take pictures of 8x8 pixels" in result.stderr


@pytest.mark.parametrize(
    ("flags", "name", "shape", "classes"),
    [
        (("--model", "ResNet-20"), "resnet20", [1, 3, 32, 32], 10),
        (("--model", "lenet5", "--dataset", "cifar10"), "cifar_lenet5", [1, 3, 32, 32], 10),
        (("--model", "cnn", "--dataset", "digits", "--input-size", "12"), "digits_cnn", [1, 1, 12, 12], 10),
        (("--model", "resnet20", "--input-size", "40", "--classes", "7"), "resnet20", [1, 3, 40, 40], 7),
        (("--model", "lenet5", "--example", "1x1x32x32"), "lenet5", [1, 1, 32, 32], 10),
    ],
)
def test_networks_of_the_zoo_as_subjects(
    flags: tuple[str, ...], name: str, shape: list[int], classes: int, tmp_path: Path
) -> None:
    given = {"example": None, "dataset": None, "mean": None, "std": None, "seed": 0}
    given |= dict(zip((f.lstrip("-").replace("-", "_") for f in flags[::2]), flags[1::2], strict=True))
    for number in ("input_size", "classes"):
        given[number] = int(given[number]) if given.get(number) else None
    weights = tmp_path / "w.pt"
    torch.save(build(name, size=shape[-1], classes=classes, seed=3).state_dict(), weights)
    subject = load_subject(str(given["model"]), weights, given, need_weights=True)
    assert (subject.name, subject.dataset) == (name, entry(name).dataset)
    assert subject.example is not None and list(subject.example[0].shape) == shape
    assert subject.network(torch.zeros(shape)).shape == (1, classes)
