"""`arithmos train`, end to end: a run, its resume, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from safetensors.torch import load_file  # noqa: E402

from arithmos.models.registry import build  # noqa: E402
from arithmos.models.weights import load_weights  # noqa: E402
from arithmos.train.loop import threads  # noqa: E402
from cli.refusals import refused  # noqa: E402

OWN = """\
import torch
from torch import nn

def linear(classes=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

def three():
    return linear(3)

def pictures():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 10))

def map():
    return nn.Conv2d(1, 10, 3)

class Nan(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        y = self.fc(x.flatten(1))
        return y / 0 - y / 0 if self.training else y

def nan():
    return Nan()
"""
SHORT = ("--epochs", "3", "--warmup-epochs", "1")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    Path("bad.toml").write_text("epoch = 3\n")
    with threads(1):
        yield


def digest(folder: str) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(f"{folder}/resume.safetensors").items()}


def test_a_network_of_the_zoo_is_trained_and_its_weights_can_be_used(arithmos: Any) -> None:
    result = arithmos("train", "digits_cnn", *SHORT, "-o", "run", "-v", "--tensorboard")
    assert result.exit_code == 0, result.stderr
    best, last, wrote, following = result.stdout.splitlines()
    assert best.startswith("best     ") and " % of the held-out images, epoch " in best
    assert last.startswith("last     ") and wrote == "wrote    run"
    assert following == "next     arithmos quantize run/best.safetensors --model digits_cnn -o run-net"
    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"] and "images/s" in lines[0]
    load_weights(build("digits_cnn"), "run/best.safetensors")
    assert any(Path("run/tensorboard").iterdir())
    record = json.loads(Path("run/training.json").read_text())
    assert record["task"]["model"] == "digits_cnn" and record["config"]["optimizer"] == "adamw"


def test_a_run_of_another_network_cannot_be_resumed(arithmos: Any, tmp_path: Path) -> None:
    arithmos("train", "digits_cnn", *SHORT, "-o", "run")
    refused(
        arithmos,
        tmp_path,
        2,
        "train digits_mlp --epochs 4 --mixup 0.5 -o run --resume",
        "this is not the training that is resumed\n  at   run\n  why  model: digits_cnn there, digits_mlp here\n"
        "       epochs: 3 there, 4 here\n       mixup: 0.0 there, 0.5 here\n",
    )


def test_what_differs_is_said_before_data_are_looked_for(arithmos: Any, tmp_path: Path) -> None:
    arithmos("train", "digits_cnn", *SHORT, "-o", "run")
    line = "train digits_cnn --data cifar10 --data-dir nowhere --epochs 4 -o run --resume"
    refused(arithmos, tmp_path, 2, line, "dataset: digits there, cifar10 here\n", "epochs: 3 there, 4 here\n")


def test_a_resumed_run_keeps_its_data_set_and_normalisation(arithmos: Any) -> None:
    options = ("--data", "digits", "--mean", "0.3", "--std", "0.5", "--epochs", "1")
    assert arithmos("train", "own.py:linear", *options, "-o", "run").exit_code == 0
    result = arithmos("train", "own.py:linear", "-o", "run", "--resume")
    assert result.exit_code == 0, result.stderr
    *_, following = result.stdout.splitlines()
    assert (
        following
        == "next     arithmos quantize run/best.safetensors --model own.py:linear --example 1x1x8x8 -o run-net"
    )
    assert arithmos(*following.split()[2:]).exit_code == 0
    report = json.loads(Path("run-net/report.json").read_text())
    assert report["origin"]["dataset"] == "digits"
    assert (report["preparation"]["mean"], report["preparation"]["std"]) == ([0.3], [0.5])


def test_a_usual_warm_up_is_as_short_as_the_training(arithmos: Any) -> None:
    Path("t.toml").write_text("epochs = 3\n")
    for options in (("--epochs", "3"), ("--config", "t.toml"), ("--set", "epochs=3")):
        result = arithmos("train", "digits_cnn", *options, "-o", "run", "--dry-run", "--json")
        assert json.loads(result.stdout)["config"]["warmup_epochs"] == pytest.approx(0.9)


def test_help_says_what_best_is_chosen_on(arithmos: Any) -> None:
    said = " ".join(arithmos("train", "--help").stdout.split())
    assert "Best is chosen on the test split" in said and "take that of last" in said
    assert "its options hold, repeat --data-dir" in said


def test_the_options_of_a_resumed_run_are_its_own(arithmos: Any) -> None:
    arithmos("train", "digits_cnn", *SHORT, "--seed", "4", "-o", "run")
    before = digest("run")
    result = arithmos("train", "digits_cnn", "-o", "run", "--resume", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["finished"], told["epochs"], told["config"]["seed"]) == (True, 3, 4)
    assert digest("run") == before


def test_a_network_of_ones_own(arithmos: Any) -> None:
    result = arithmos(
        "train", "own.py:linear", "--data", "digits", "--epochs", "2", "--warmup-epochs", "0", "-o", "run"
    )
    assert result.exit_code == 0, result.stderr
    assert set(load_file("run/last.safetensors")) == {"1.weight", "1.bias"}


def test_a_network_of_ones_own_that_changed_cannot_be_resumed(arithmos: Any, tmp_path: Path) -> None:
    options = ("--data", "digits", "--epochs", "2", "--warmup-epochs", "0", "-o", "run")
    arithmos("train", "own.py:linear", *options)
    Path("own.py").write_text(OWN.replace("nn.Linear(64, classes)", "nn.Linear(64, 20), nn.Linear(20, classes)"))
    refused(
        arithmos,
        tmp_path,
        2,
        "train own.py:linear --data digits -o run --resume",
        "the checkpoint is of another architecture: 4 of its tensors differ\n  at   run\n  why  shapes:\n"
        "       1.bias: 10 there, 20 here\n       1.weight: 10, 64 there, 20, 64 here\n"
        "       2.weight: none there, 10, 20 here\n       2.bias: none there, 10 here\n",
    )


def test_a_dry_run_prints_a_plan_that_is_a_configuration(arithmos: Any, tmp_path: Path) -> None:
    result = arithmos("train", "digits_cnn", "--epochs", "12", "-o", "run", "--dry-run")
    assert result.exit_code == 0 and not Path("run").exists()
    assert "network  digits_cnn, 3,818 parameters" in result.stdout
    assert "steps    264, batches of 64" in result.stdout
    Path("plan.toml").write_text(result.stdout.split("\n\n", 1)[1])
    again = arithmos("train", "digits_cnn", "--config", "plan.toml", "-o", "run", "--dry-run", "--json")
    told = json.loads(again.stdout)
    assert told["config"]["epochs"] == 12 and told["config"]["optimizer"] == "adamw" and told["steps"] == 264


def test_flags_go_before_the_file_and_set_before_flags(arithmos: Any) -> None:
    Path("t.toml").write_text("epochs = 20\nmixup = 0.5\nbatch_size = 10\n")
    options = ("--config", "t.toml", "--mixup", "0.25", "--set", "batch_size=20", "--no-nesterov")
    result = arithmos("train", "digits_cnn", *options, "-o", "run", "--dry-run", "--json")
    config = json.loads(result.stdout)["config"]
    assert (config["epochs"], config["mixup"], config["batch_size"], config["nesterov"]) == (20, 0.25, 20, False)


def test_the_form_of_a_network_for_the_data_set_is_taken(arithmos: Any, data_dir: Path) -> None:
    folder = data_dir / "cifar10"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    result = arithmos(
        "train", "resnet50", "--data", "cifar10", "--data-dir", folder, "-o", "run", "--dry-run", "--json"
    )
    told = json.loads(result.stdout)
    assert told["model"] == "cifar_resnet50" and told["config"]["weight_decay"] == 5e-4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("digits_cnn --epochs 0 -o run", "epochs must be an integer from 1 on, got 0"),
        ("digits_cnn --epochs 5 --warmup-epochs 9 -o run", "warmup_epochs must be fewer than the 5 epochs, got 9"),
        ("digits_cn -o run", "there is no model 'digits_cn'"),
        ("digits_cnn --data digit -o run", "there is no data set 'digit'"),
        ("own.py:linear -o run", "'own.py:linear' needs a data set"),
        ("own.py:none --data digits -o run", "the file has no function 'none'"),
        ("own.py:three --data digits -o run", "the network gives 3 classes and a label is 9"),
        ("own.py:map --data digits -o run", "the network gives no logits\n  why  its output is of shape 1x10x6x6"),
        ("own.py:pictures --data digits -o run", "the network does not take these images\n  why  on an input of shape"),
        ("digits_cnn --batch-size 1349 -o run", "the batch size is 1,349 and there are 1,348 training images"),
        ("digits_cnn --resume -o none", "there is no none\n  at   {here}/none/resume.safetensors"),
        ("digits_cnn --resume --force -o run", "--resume and --force exclude each other"),
        ("digits_cnn -o own.py", "own.py is a file"),
        ("digits_cnn --device gpu -o run", "there is no device 'gpu'"),
        ("digits_cnn --set epoch=3 -o run", "there is no 'epoch', did you mean 'epochs'?"),
        ("digits_cnn --set epochs -o run", "--set epochs is not KEY=VALUE"),
        ("digits_cnn --config bad.toml -o run", "at   bad.toml\n  why  there is no 'epoch', did you mean 'epochs'?"),
        ("digits_cnn --config none.toml -o run", "there is no none.toml"),
        ("lenet5 --data-dir nowhere -o run", "there is no such data folder"),
        ("digits_cnn --milestones 0.5,x -o run", "'0.5,x' is not numbers joined by commas"),
    ],
)
def test_bad_input(arguments: str, said: str, arithmos: Any, tmp_path: Path) -> None:
    def call(*words: str) -> Any:
        return arithmos("train", *words)

    refused(call, tmp_path, 2, arguments, said)


def test_cuda_that_is_not_there(arithmos: Any, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA")
    refused(arithmos, tmp_path, 2, "train digits_cnn --device cuda -o run", "there is no CUDA device")


def test_an_existing_folder_is_not_replaced_unless_asked(arithmos: Any, tmp_path: Path) -> None:
    Path("run").mkdir()
    refused(arithmos, tmp_path, 2, "train digits_cnn -o run", "run exists", "give --force")
    assert arithmos("train", "digits_cnn", *SHORT, "-o", "run", "--force").exit_code == 0


def test_a_loss_of_nan_is_exit_1_and_says_epoch_and_step(arithmos: Any) -> None:
    result = arithmos("train", "own.py:nan", "--data", "digits", *SHORT, "-o", "run")
    assert result.exit_code == 1 and "Traceback" not in result.stderr
    assert "the loss is NaN or infinite\n  at   epoch 1, step 1\n" in result.stderr
    assert "no weights are kept" in result.stderr and Path("run/resume.safetensors").is_file()


@pytest.mark.slow
def test_ctrl_c_keeps_a_checkpoint_and_the_resumed_run_is_the_whole_one(arithmos: Any) -> None:
    options = ["digits_cnn", "--epochs", "40"]
    command = [sys.executable, "-m", "arithmos", "train", *options, "-o", "run", "-v"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if line.startswith("epoch  2/40"):
                time.sleep(0.05)
                started.send_signal(signal.SIGINT)
                break
        said = started.stderr.read()
    assert started.returncode == 130
    assert "of 40 epochs; run is kept: the same command with --resume goes on from the last step" in said
    assert arithmos("train", *options, "-o", "run", "--resume").exit_code == 0
    assert arithmos("train", *options, "-o", "whole").exit_code == 0
    assert digest("run") == digest("whole")
