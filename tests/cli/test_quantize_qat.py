"""quantize --qat: trained integers in the same bundle, what the report says of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.cli import qat as verb  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.train.config import Config  # noqa: E402
from cli.refusals import listing  # noqa: E402

OWN = """
import torch

def make_model():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 4, 3, 2), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(36, 10))
"""
FEW = ("--n-calibration", "40", "--evaluate", "60")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    save_file(build("digits_cnn", seed=3).state_dict(), file)
    return file


@pytest.mark.slow
def test_a_trained_bundle_says_what_it_was_trained_on(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    bits = ("--weight-bits", "3", "--activation-bits", "3")
    flags = ("--qat", "--epochs", "2", "--distill", "--learning-rate", "0.002", "--seed", "7")
    result = arithmos("quantize", weights, "--model", "digits_cnn", *FEW, *bits, *flags, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads((out / "report.json").read_text())
    training = facts["training"]
    assert training["data"] == "1,348 images of digits, train split, augmented" and training["digest"].startswith(
        "pixels:"
    )
    assert (training["config"]["epochs"], training["config"]["seed"]) == (2, 7)
    assert training["loss"] == "distillation, temperature 4, share 0.9" and training["device"] == "cpu"
    first, last = training["history"]
    assert last["loss"] < first["loss"]
    assert facts["accuracy"]["integer"]["percent"] == pytest.approx(100 * last["accuracy"], abs=1e-3)
    assert facts["origin"]["training"] == (
        "2 epochs, batches of 64, adamw at 0.002, seed 7, distillation, temperature 4, share 0.9"
    )
    assert facts["origin"]["training_digest"] == training["digest"]
    assert json.loads(result.stdout)["training"]["ptq_percent"] == training["ptq_percent"]
    assert str(tmp_path) not in (out / "report.json").read_text()
    assert arithmos("verify", out, "--targets", "engine").exit_code == 0


@pytest.mark.slow
def test_labels_alone_teach_the_users_own_network(arithmos: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = ("--model", tmp_path / "own.py:make_model", "--example", "1x1x8x8", "--dataset", "digits")
    config = tmp_path / "long.toml"
    config.write_text("epochs = 9\nbatch_size = 50\nlearning_rate = 0.01\n")
    flags = ("--qat", "--qat-config", config, "--epochs", "3", "--weight-bits", "4")
    result = arithmos("quantize", *own, *FEW, *flags, "-o", tmp_path / "net")
    assert result.exit_code == 0, result.stderr
    facts = json.loads((tmp_path / "net" / "report.json").read_text())
    assert facts["training"]["loss"] == "cross entropy" and len(facts["training"]["history"]) == 3
    assert facts["training"]["config"]["batch_size"] == 50
    before, after = facts["training"]["ptq_percent"], facts["accuracy"]["integer"]["percent"]
    assert before < 30 < 60 < after, "random weights were trained"
    assert f"untrained integers {before:.2f} %" in result.stdout


def test_the_plan_names_the_training(arithmos: Any) -> None:
    arguments = ("quantize", "--model", "digits_cnn", "--qat", "--epochs", "2", "--dry-run")
    assert "training: 2 epochs, batches of 64, adamw at 0.0002, seed 0, cross entropy; 1,348 images of digits" in (
        arithmos(*arguments).stdout
    )
    document = json.loads(arithmos(*arguments, "--json").stdout)
    assert document["training"]["config"]["epochs"] == 2 and document["macs"] == 80_896


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            "--epochs 3 --distill",
            "error: --epochs, --distill would do nothing\n"
            "  why  it belongs to quantization-aware training\n"
            "  fix  add --qat, or leave it out\n",
        ),
        (
            "--qat --evaluate 0",
            "error: the network cannot be trained\n"
            "  why  the accuracy is measured after every epoch, and --evaluate is 0\n"
            "  fix  give --evaluate 500\n",
        ),
        (
            "--qat --calibration-split test",
            "error: the network cannot be trained\n"
            "  why  --calibration-split test is for data sets that have nothing else\n"
            "  fix  leave it out\n",
        ),
        ("--qat --epochs 0", "Invalid value for '--epochs'"),
        ("--qat --learning-rate -1", "learning_rate must be a number from 0 on, got -1.0"),
        ("--qat --device cuda:9", "CUDA device"),
        ("--qat --qat-config none.toml", "there is no none.toml"),
    ],
)
def test_bad_usage_is_refused(
    arithmos: Any, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)
    result = arithmos("quantize", weights, "--model", "digits_cnn", "-o", "net", *flags.split())
    assert result.exit_code == 2 and said in result.stderr, result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr and listing(tmp_path) == before


def test_a_network_without_labels_is_refused(arithmos: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    np.save(tmp_path / "samples.npy", np.zeros((8, 1, 8, 8), dtype=np.float32))
    own = ("--model", tmp_path / "own.py:make_model", "--example", "1x1x8x8", "--calibration", tmp_path / "samples.npy")
    result = arithmos("quantize", *own, "--qat", "-o", tmp_path / "net")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: the network cannot be trained\n"
        "  why  no data set is named, and samples of --calibration have no labels\n"
        "  fix  give --dataset, --data-dir\n"
    )
    assert not (tmp_path / "net").exists()


@pytest.mark.slow
def test_a_training_that_diverges_ends_with_1_and_writes_nothing(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    flags = ("--qat", "--epochs", "2", "--learning-rate", "1e30")
    result = arithmos("quantize", weights, "--model", "digits_cnn", *FEW, *flags, "-o", tmp_path / "net")
    assert result.exit_code == 1, result.stderr
    assert result.stderr == (
        "error: the loss is NaN or infinite\n"
        "  at   epoch 1, step 2\n"
        "  why  the steps became too large, or an image is not finite\n"
        "  fix  give a lower --learning-rate; nothing was written\n"
    )
    assert not (tmp_path / "net").exists() and [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_ctrl_c_leaves_nothing(arithmos: Any, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, config: Config = Config(), **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "qat", interrupted)
    result = arithmos("quantize", weights, "--model", "digits_cnn", *FEW, "--qat", "-o", tmp_path / "net")
    assert result.exit_code == 130 and "nothing was left behind" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
