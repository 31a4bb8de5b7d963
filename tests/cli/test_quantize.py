"""quantize: from weights and samples to a bundle, from a plan to a recipe, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.ir.codec import load  # noqa: E402
from arithmos.lower.recipe import Recipe, read_recipe  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.targets.run import run  # noqa: E402

OWN = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        conv, linear = torch.nn.Conv2d(2, 3, 3), torch.nn.Linear(12, 4)
        self.layers = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), linear)

    def forward(self, x):
        return self.layers(x)

def make_model():
    return Net()

def make_unsupported():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 4), torch.nn.Softmax(1))
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    save_file(build("digits_cnn", seed=3).state_dict(), file)
    return file


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    (tmp_path / "bad.toml").write_text('weight_bits = "8"\n')
    np.save(tmp_path / "samples.npy", np.random.default_rng(0).normal(size=(20, 2, 4, 4)).astype(np.float32))
    return file


def test_a_network_of_the_zoo(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    result = arithmos(
        "quantize", weights, "--model", "digits_cnn", "--n-calibration", "40", "--evaluate", "60", "-o", out
    )
    assert result.exit_code == 0, result.stderr
    assert "of 60 right" in result.stdout and "dB signal to noise" in result.stdout
    files = {file.name for file in out.iterdir()}
    assert files >= {"graph.json", "tensors.safetensors", "golden.safetensors", "recipe.toml", "report.json"}
    facts = json.loads((out / "report.json").read_text())
    assert facts["accuracy"]["integer"]["total"] == 60
    assert facts["origin"]["calibration"] == "40 images of digits, train split"
    assert facts["origin"]["weights"] == "weights.safetensors" and len(facts["origin"]["weights_sha256"]) == 64
    assert {step["step"] for step in facts["steps"]} >= {"trace", "calibrate", "quantize"}
    assert all(layer["sqnr_db"] > 20 for layer in facts["layers"] if layer["compared"] and layer["sqnr_db"])
    assert str(tmp_path) not in (out / "report.json").read_text()
    assert read_recipe(out / "recipe.toml") == Recipe()


def test_the_json_is_the_report(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    arguments = ("--model", "digits_cnn", "--n-calibration", "8", "--evaluate", "0", "-o", tmp_path / "net", "--json")
    document = json.loads(arithmos("quantize", weights, *arguments).stdout)
    assert document.pop("bundle") == str(tmp_path / "net")
    assert document == json.loads((tmp_path / "net" / "report.json").read_text())
    assert "accuracy" not in document


def test_the_same_input_gives_the_same_network(arithmos: Any, own: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        result = _own(arithmos, own, "make_model", "-o", tmp_path / name, "--json")
        digests.append(json.loads(result.stdout)["digest"])
    assert digests[0] == digests[1]


def _own(arithmos: Any, own: Path, function: str, *arguments: Any, example: str = "1x2x4x4") -> Any:
    samples = own.parent / "samples.npy"
    return arithmos(
        "quantize", "--model", f"{own}:{function}", "--example", example, "--calibration", samples, *arguments
    )


def test_the_users_own_network_and_arrays(arithmos: Any, own: Path, tmp_path: Path) -> None:
    result = _own(
        arithmos, own, "make_model", "-o", tmp_path / "net", "--weight-bits", "6", "--set", "scales=power_of_two"
    )
    assert result.exit_code == 0, result.stderr
    net = load(tmp_path / "net")
    assert run(net, np.load(tmp_path / "samples.npy")).shape == (20, 4)
    recipe = read_recipe(tmp_path / "net" / "recipe.toml")
    assert (recipe.weight_bits, recipe.scales) == (6, "power_of_two")


def test_an_exported_program(arithmos: Any, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 6),)), tmp_path / "program.pt2")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(1, 6)).astype(np.float32))
    arguments = ("--model", tmp_path / "program.pt2", "--calibration", tmp_path / "x.npy", "-o", tmp_path / "net")
    result = arithmos("quantize", *arguments)
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "net").outputs


def test_a_recipe_file_goes_before_defaults_and_after_flags(arithmos: Any, own: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('weight_bits = 5\nactivation_bits = 7\n[overrides."layers.3"]\nweight_bits = 4\n')
    arguments = ("--recipe", file, "--weight-bits", "6", "--set", "overrides.'layers.0'.weight_bits=3")
    assert _own(arithmos, own, "make_model", *arguments, "-o", tmp_path / "net").exit_code == 0
    recipe = read_recipe(tmp_path / "net" / "recipe.toml")
    assert (recipe.weight_bits, recipe.activation_bits) == (6, 7)
    assert {glob: dict(fields) for glob, fields in recipe.overrides.items()} == {
        "layers.3": {"weight_bits": 4},
        "layers.0": {"weight_bits": 3},
    }


def test_the_plan_writes_nothing(arithmos: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = _own(arithmos, own, "make_model", "--dry-run", "-o", "net", "--write-recipe", "int8.toml")
    assert result.exit_code == 0
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "__pycache__"] or sorted(tmp_path.iterdir()) == before
    assert "MACs" in result.stdout and "calibration: about" in result.stdout and "layers.0.acc" in result.stdout
    document = json.loads(_own(arithmos, own, "make_model", "--dry-run", "--json").stdout)
    assert document["macs"] == 3 * 2 * 9 * 4 + 12 * 4
    assert document["unsupported"] == []
    assert [node["op"] for node in document["nodes"]][:2] == ["conv", "requantize"]


def test_the_plan_tells_the_bits_that_a_node_really_gets(arithmos: Any, own: Path) -> None:
    flags = ("--weight-bits", "3", "--rounding", "adaround", "--set", "overrides.'layers.3'.weight_bits=5")
    result = _own(arithmos, own, "make_model", "--dry-run", "--json", *flags)
    rows = {node["node"]: node for node in json.loads(result.stdout)["nodes"]}
    assert rows["layers.0.acc"]["weight_bits"] == 8, "a first layer has edge_bits"
    assert rows["layers.3.acc"]["weight_bits"] == 5, "unless an override says its bits"
    text = _own(arithmos, own, "make_model", "--dry-run", *flags).stdout
    assert "fused joins, adaround rounding, corrections: none" in text


def test_an_override_that_matches_nothing_is_refused(arithmos: Any, own: Path) -> None:
    result = _own(arithmos, own, "make_model", "--dry-run", "--set", "overrides.'layer.3'.weight_bits=5")
    assert result.exit_code == 2
    assert "'layer.3' matches nothing; close are layers.3" in result.stderr


def test_the_plan_of_the_zoo_needs_no_weights(arithmos: Any) -> None:
    document = json.loads(arithmos("quantize", "--model", "digits_cnn", "--dry-run", "--json").stdout)
    assert document["macs"] == 80_896 and document["widest_bits"] <= 32


def test_the_plan_lists_every_unsupported_node_with_exit_code_4(arithmos: Any, own: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "samples.npy", np.zeros((4, 4), dtype=np.float32))
    planned = _own(arithmos, own, "make_unsupported", "--dry-run", example="1x4")
    assert planned.exit_code == 4
    assert "'layer_norm' has no integer rule" in planned.stdout and "'softmax' has no integer rule" in planned.stdout


def test_the_starter_recipe_lists_every_node_and_can_be_used(arithmos: Any, own: Path, tmp_path: Path) -> None:
    file = tmp_path / "int8.toml"
    assert _own(arithmos, own, "make_model", "--write-recipe", file).exit_code == 0
    text = file.read_text()
    assert '# [overrides."layers.0"]  # conv' in text and '# [overrides."layers.3"]  # linear' in text
    assert read_recipe(file) == Recipe()
    assert _own(arithmos, own, "make_model", "--write-recipe", file).exit_code == 2
    assert _own(arithmos, own, "make_model", "--recipe", file, "-o", tmp_path / "net").exit_code == 0


def test_the_accuracy_gate_ends_with_1_and_writes_nothing(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    arguments = (weights, "--model", "digits_cnn", "--n-calibration", "8", "--evaluate", "40", "-o", out)
    refused = arithmos("quantize", *arguments, "--max-loss", "0", "--activation-bits", "2", "--edge-bits", "2")
    assert refused.exit_code == 1
    assert "the integer network loses" in refused.stderr and "--max-loss allows 0;" in refused.stderr
    assert not out.exists()
    assert arithmos("quantize", *arguments, "--max-loss", "100").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "digits_cnn"), "there is nothing to write"),
        (("--model", "digits_cnn", "-o", "net"), "'digits_cnn' needs its weights"),
        (("--model", "own.py:make_model", "-o", "net"), "--example 1x3x32x32"),
        (("--model", "own.py:make_model", "-o", "net", "--example", "1x2x"), "--example 1x2x is not a shape"),
        (("--model", "own.py:make_model", "-o", "net", "--example", "1x2x4x4"), "there is nothing to calibrate on"),
        (("--model", "digits_cnn", "--dry-run", "--weight-bits", "17"), "weight_bits must be an integer from 1 to 16"),
        (("--model", "digits_cnn", "--dry-run", "--set", "wieght_bits=4"), "did you mean 'weight_bits'?"),
        (("--model", "digits_cnn", "--dry-run", "--set", "weight_bits"), "is not KEY=VALUE"),
        (("--model", "digits_cnn", "--dry-run", "--max-loss", "-5"), "-5.0 is not in the range x>=0"),
        (("--model", "digits_cnn", "--dry-run", "--recipe", "bad.toml"), "at   bad.toml\n  why  weight_bits must be"),
        (("--model", "digits_cnn", "--dry-run", "--mean", "a"), "not numbers joined by commas"),
        (("--model", "digits_cnn", "--dry-run", "--dataset", "cifar1"), "did you mean 'cifar10'"),
    ],
)
def test_bad_usage_is_refused(
    arithmos: Any, own: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(own.parent)
    result = arithmos("quantize", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr and "Traceback" not in result.stderr
    assert not (own.parent / "net").exists()


@pytest.mark.slow
def test_a_trained_residual_network_on_real_images(arithmos: Any, data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
    trained, out = data_dir / "weights" / "cifar10-resnet20.safetensors", tmp_path / "net"
    arguments = ("--model", "resnet20", "--data-dir", data_dir, "--max-loss", "0.6", "-o", out, "--json")
    result = arithmos("quantize", trained, *arguments)
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["accuracy"]["integer"]["total"] == 500
    assert facts["accuracy"]["float"]["percent"] > 90
    checked = arithmos("verify", out, "--data-dir", data_dir, "--targets", "engine", "--samples", "2")
    assert checked.exit_code == 0, checked.stderr
    assert "2 given" in checked.stdout
