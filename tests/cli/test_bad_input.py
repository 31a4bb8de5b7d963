"""Bad input, end to end: what, where, why and fix are said, the exit code is right, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.ir.codec import save  # noqa: E402
from arithmos.ir.graph import Graph  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.train.loop import threads  # noqa: E402
from cli.refusals import refused  # noqa: E402

OWN = """\
import torch
from torch import nn

class Decides(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x

class Several(nn.Module):
    def forward(self, x):
        y = torch.fft.rfft(x).real
        return torch.linalg.norm(torch.sort(y)[0], dim=1)

class AlwaysTraining(nn.Sequential):
    def train(self, mode=True):
        return super().train(True)

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.fc.weight.data[0, 0] = float("nan")
        self.fc.bias.data[1] = float("inf")

    def forward(self, x):
        return self.fc(x)

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1 << 14, 1, bias=False)
        nn.init.ones_(self.fc.weight)

    def forward(self, x):
        return torch.relu(self.fc(x) + x.mean(1, keepdim=True))

def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))

def layers():
    return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Softmax(1))

def always_training():
    return AlwaysTraining(nn.Linear(4, 4), nn.BatchNorm1d(4))

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(6, 3)

    def forward(self, x, y):
        return self.first(x) + self.second(y)
"""


class Creates:
    """A pickle that makes a folder when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, ("executed",)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every bad input in it, made once."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "own.py").write_text(OWN)
    (folder / "typo.toml").write_text("wieght_bits = 4\nactivation_bitz = 4\n")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4)).astype(np.float32)
    arrays = {
        "x": x,
        "empty": x[:0],
        "nan": np.where(np.arange(4) == 1, np.nan, x).astype(np.float32),
        "shape": x[:, :3],
        "wide": rng.uniform(-1, 1, (4, 1 << 14)).astype(np.float32),
        "images_nan": np.full((2, 1, 4, 4), np.inf, dtype=np.float32),
        "images_shape": np.zeros((2, 3, 4, 4), dtype=np.float32),
        "images_range": np.full((2, 1, 4, 4), 200),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([Creates()], dtype=object), allow_pickle=True)

    weights = build("digits_cnn", seed=3).state_dict()
    save_file(weights, folder / "whole.safetensors")
    torch.save(weights, folder / "whole.pt")
    for name in ("whole.safetensors", "whole.pt"):
        data = (folder / name).read_bytes()
        (folder / name.replace("whole", "cut")).write_bytes(data[: len(data) // 2])
    renamed = {name.replace("fc", "head"): tensor for name, tensor in weights.items()}
    save_file({**renamed, "conv2.weight": torch.zeros(16, 4, 3, 3)}, folder / "other.safetensors")
    torch.save({"conv1.weight": Creates()}, folder / "code.pt")
    broken = {name: tensor.clone() for name, tensor in weights.items()}
    broken["conv1.weight"][0, 0, 0, 0] = float("nan")
    broken["fc.bias"][:2] = float("inf")
    save_file(broken, folder / "broken.safetensors")

    training = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).train()
    torch.export.save(torch.export.export(training, (torch.zeros(2, 4),)), folder / "training.pt2")
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.jpg").write_text("a cat")
    return folder


@pytest.fixture
def here(made: Path, net: Graph, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of bad inputs with a sound bundle `net` in it, as the current one."""
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for left in ("net", "out"):
        shutil.rmtree(made / left, ignore_errors=True)
    save(net, made / "net", recipe="weight_bits = 8\n", report={"top1": 0.5})
    return made


ZOO = "--model digits_cnn -o out"
TAKES_4 = "--example 1x4 --calibration x.npy -o out"
SIXTEEN = "--weight-bits 16 --activation-bits 16 --edge-bits 16 --multiplier-bits 31"

CASES: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "missing weights": (
        2,
        f"quantize nope.safetensors {ZOO}",
        (
            "error: there is no nope.safetensors\n  at   {here}/nope.safetensors\n",
            "  why  '[WEIGHTS]' is read, and no file or folder has this path\n  fix  check the path\n",
        ),
    ),
    "truncated safetensors": (
        2,
        f"quantize cut.safetensors {ZOO}",
        (
            "error: the file is not a safetensors file, or it is cut off\n  at   {here}/cut.safetensors (",
            "  why  ",
            "  fix  fetch it again and compare its size with the original\n",
        ),
    ),
    "truncated torch.save": (
        2,
        f"quantize cut.pt {ZOO}",
        (
            "error: the file is not a torch.save file, or it is cut off\n  at   {here}/cut.pt (",
            "  why  ",
            "  fix  fetch it again and compare its size with the original\n",
        ),
    ),
    "wrong shapes and names": (
        2,
        f"quantize other.safetensors {ZOO}",
        (
            "error: the weights do not fit the model: 5 of its tensors are wrong\n  at   {here}/other.safetensors\n"
            "  why  conv2.weight: shape 16x4x3x3, should be 16x8x3x3\n"
            "       fc.weight: missing, should be 10x256\n"
            "       fc.bias: missing, should be 10\n"
            "       head.bias: unexpected, 10\n"
            "       head.weight: unexpected, 10x256\n"
            "  fix  choose the model these weights were trained for with --model, or correct the file\n",
        ),
    ),
    "a pickle with code": (
        2,
        f"quantize code.pt {ZOO}",
        (
            "error: the file contains a pickle with code in it\n  at   {here}/code.pt\n  why  loading it would run ",
            "mkdir; arithmos reads tensors and never executes what a file says\n  fix  where the model's code is, save",
        ),
    ),
    "inputs with code": (
        2,
        "run net --input objects.npy",
        ("error: the .npy file cannot be read\n  at   {here}/objects.npy\n", "Object arrays", "  fix  write it again"),
    ),
    "NaN and infinite weights of a file": (
        2,
        f"quantize broken.safetensors {ZOO}",
        (
            "  why  conv1.weight: 1 of 72 values are NaN\n"
            "       fc.bias: 2 of 10 values are infinite in torch.float32\n",
            "  fix  choose the model",
        ),
    ),
    "NaN and infinite weights of one's own network": (
        2,
        f"quantize --model own.py:Broken {TAKES_4}",
        (
            "error: the weights of the network are not usable\n"
            "  why  fc.weight holds 1 NaN and 0 infinite values\n"
            "       fc.bias holds 0 NaN and 1 infinite values\n"
            "  fix  load finite weights before tracing\n",
        ),
    ),
    "training mode": (
        2,
        f"quantize --model own.py:always_training {TAKES_4}",
        (
            "error: the model is in training mode (3 modules)\n",
            "batch norm compute something else then: 0 (Linear), 1 (BatchNorm1d)\n  fix  call model.eval() before",
        ),
    ),
    "a program exported in training mode": (
        4,
        "quantize --model training.pt2 --calibration x.npy -o out",
        (
            "  why  1: batch_norm: it normalises by the statistics of the batch, so a result depends on the other "
            "samples; use track_running_stats=True and eval()\n",
            "2: native_dropout: it drops values at random; ",
            "1.running_mean: forward changes this buffer",
        ),
    ),
    "data-dependent control flow": (
        4,
        f"quantize --model own.py:Decides {TAKES_4}",
        (
            "error: the network decides by values it computes\n  at   own.py:6  if x.sum() > 0:\n  why  a graph has",
            "  fix  compute both sides and choose with torch.where(condition, a, b),\n",
        ),
    ),
    "several operations that cannot be traced": (
        4,
        f"quantize --model own.py:Several {TAKES_4}",
        (
            "error: the network has 4 operations that cannot be traced\n",
            "own.py:12: fft_rfft: there is no float op",
            "own.py:12: real: ",
            "own.py:13: sort: ",
            "own.py:13: linalg_norm: ",
            "  fix  change these lines as they say",
        ),
    ),
    "several layers without integers": (
        4,
        f"quantize --model own.py:layers {TAKES_4}",
        (
            "error: 2 nodes cannot become integers\n",
            "'layer_norm' has no integer rule",
            "'softmax' has no integer rule",
            "  fix  replace these layers, or quantize the part of the network without them\n",
        ),
    ),
    "empty calibration": (
        2,
        f"quantize --model own.py:plain {TAKES_4}".replace("x.npy", "empty.npy"),
        (
            "error: the file holds no usable input\n  at   {here}/empty.npy\n  why  empty: input: shape (0, 4)\n",
            "  fix  save arrays of floats or integers, the batch first\n",
        ),
    ),
    "NaN in calibration images": (
        2,
        f"quantize --model own.py:plain {TAKES_4}".replace("x.npy", "nan.npy"),
        (
            "error: calibration batch 0 cannot be used\n"
            "  why  input 'input': holds 8 values that are NaN or infinite\n"
            "  fix  give finite numbers, in the shape of the example the network was traced with\n",
        ),
    ),
    "calibration images of a wrong shape": (
        2,
        f"quantize --model own.py:plain {TAKES_4}".replace("x.npy", "shape.npy"),
        (
            "error: calibration batch 0 cannot be used\n"
            "  why  input 'input': has shape (8, 3), the network takes (N, 4)\n"
            "  fix  give finite numbers, in the shape of the example the network was traced with\n",
        ),
    ),
    "infinite images": (
        2,
        "run net --input images_nan.npy -o out/y.npy",
        (
            "error: the network cannot take these inputs\n  why  input 'images': holds 32 values that are NaN or infi",
            "  fix  give arrays of the shapes and ranges that `arithmos show` prints\n",
        ),
    ),
    "images of a wrong shape": (
        2,
        "verify net --targets engine --input images_shape.npy",
        ("  why  input 'images': has shape (2, 3, 4, 4), the network takes (N, 1, 4, 4)\n", "  fix  give arrays"),
    ),
    "integers out of range": (
        2,
        "dump net --input images_range.npy -o out",
        ("  why  input 'images': holds integers in [200, 200], the network takes [-127, 127]\n", "  fix  give arrays"),
    ),
    "an accumulator that would exceed int64": (
        2,
        f"quantize --model own.py:Wide --example 1x16384 --calibration wide.npy -o out {SIXTEEN}",
        (
            "need 66 bits, int64 has 64\n  at   own.py:36\n  why  the proven range is [-",
            "  fix  quantize the inputs of this node to fewer bits\n",
        ),
    ),
    "a foreign directory": (
        2,
        f"quantize --model own.py:plain {TAKES_4} --force".replace("out", "photos"),
        (
            "error: photos was not written by arithmos\n",
            "  why  --force replaces only an empty directory or one that holds the file .arithmos\n",
            "  fix  name another directory, or remove this one yourself\n",
        ),
    ),
    "an example of the wrong shape for one's own network": (
        2,
        "quantize --model own.py:plain --example 1x5 --calibration x.npy -o out",
        (
            "error: the network cannot be run on the example (1x5 of float32)\n"
            "  why  RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x5 and 4x3)\n"
            "       its first layer, 0, takes 4 features\n"
            "  fix  give an example of the shapes and types that forward takes, the batch first; or correct forward\n",
        ),
    ),
    "an example too few": (
        2,
        "quantize --model own.py:Two --example 1x4 --calibration x.npy -o out",
        (
            "error: the network cannot be run on the example (1x4 of float32)\n",
            "missing 1 required positional argument: 'y'",
        ),
    ),
    "an example of the wrong shape for a network of the zoo": (
        2,
        f"quantize whole.pt {ZOO} --example 1x8",
        (
            "error: --example 1x8 does not fit digits_cnn\n"
            "  why  it takes pictures: a batch of 1 channels, height and width, as 1x1x8x8\n"
            "  fix  leave --example out, or choose the side of the pictures with --input-size\n",
        ),
    ),
    "an example that is no shape": (
        2,
        "quantize --model own.py:plain --example 1,4,x --calibration x.npy -o out",
        (
            "error: --example 1,4,x is not a shape\n",
            "  fix  for example 1x3x32x32, or 1x8,1x6 for a network of two inputs\n",
        ),
    ),
    "an example beyond memory": (
        2,
        "quantize --model own.py:plain --example 9999999x9999999 --calibration x.npy -o out",
        ("error: --example 9999999x9999999 is too large\n  why  an example has at most 268,435,456 numbers: ",),
    ),
    "an example for an exported program": (
        2,
        "quantize --model training.pt2 --example 2x4 --calibration x.npy -o out",
        ("error: 'training.pt2' takes no example\n  at   --example 2x4\n", "  fix  leave --example out\n"),
    ),
    "a negative seed": (2, "verify net --seed -1", ("-1 is not in the range 0<=x<=",)),
    **{
        f"{verb} into what it reads": (
            2,
            f"{verb} net -o {out} --force {rest}",
            (
                f"error: {out} is read from and cannot be the output\n  at   {{here}}/net\n",
                "  why  --force would replace it by what is made of it\n  fix  name another place with --out\n",
            ),
        )
        for verb, out, rest in (("export", "net", "--target c"), ("dump", "net", ""), ("report", ".", ""))
    },
    "quantize over its own weights": (
        2,
        "quantize photos/cat.jpg --model digits_cnn -o photos --force",
        ("error: photos is read from and cannot be the output\n  at   {here}/photos/cat.jpg\n",),
    ),
    "run over its own input": (
        2,
        "run net --input x.npy -o x.npy --force",
        ("error: x.npy is read from and cannot be the output\n  at   {here}/x.npy\n",),
    ),
    "an option of the target that is neither yes nor no": (
        2,
        "export net --target c -o out --set trace=maybe",
        ("error: trace=maybe is neither true nor false\n",),
    ),
    "a standard deviation of zero": (
        2,
        f"quantize whole.pt {ZOO} --dataset digits --std 0",
        ("error: pictures cannot be prepared so\n  why  std is 0.0, and pixels are divided by it\n",),
    ),
    "unknown verb": (2, "quantise net", ("No such command 'quantise'. Did you mean 'quantize'?",)),
    "unknown flag": (2, "verify net --sampels 3", ("No such option '--sampels'. Did you mean '--samples'?",)),
    "unknown flag of a recipe's field": (
        2,
        f"quantize --model own.py:plain {TAKES_4} --wieght-bits 4",
        ("No such option '--wieght-bits'. ", "'--weight-bits'"),
    ),
    "unknown model": (
        2,
        "quantize --model digit_cnn -o out",
        ("error: there is no model 'digit_cnn'", "did you mean 'dig"),
    ),
    "unknown function": (
        2,
        f"quantize --model own.py:plian {TAKES_4}",
        ("error: the file has no function 'plian'\n  at   {here}/own.py:plian\n", "its functions are plain, layers, "),
    ),
    "unknown target": (
        2,
        "export net --target engin -o out",
        ("error: there is no target 'engin'\n  why  the targets are ", "  fix  did you mean 'engine'?\n"),
    ),
    "unknown recipe keys": (
        2,
        f"quantize --model own.py:plain {TAKES_4} --recipe typo.toml",
        (
            "error: this recipe has unknown keys\n  at   typo.toml\n"
            "  why  there is no 'wieght_bits', did you mean 'weight_bits'?\n"
            "       there is no 'activation_bitz', did you mean 'activation_bits'?\n"
            "  fix  the keys are weight_bits, ",
        ),
    ),
    "unknown key of an override": (
        2,
        f"quantize --model own.py:plain {TAKES_4} --set overrides.'0'.wieght_bits=4",
        ("  why  overrides.'0': there is no 'wieght_bits', did you mean 'weight_bits'?\n",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(arithmos: Any, here: Path, name: str) -> None:
    code, arguments, said = CASES[name]
    refused(arithmos, here, code, arguments, *said)


@pytest.mark.parametrize("example", ["--example 1x4,1x6", "--example 1x4 --example 1x6"])
def test_examples_of_two_inputs_with_a_comma_or_one_by_one(arithmos: Any, here: Path, example: str) -> None:
    result = arithmos(*f"quantize --model own.py:Two {example} --dry-run --json".split())
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["macs"] == 4 * 3 + 6 * 3


def test_the_code_in_the_pickles_would_have_run(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, load in enumerate(
        (
            lambda: torch.load(here / "code.pt", weights_only=False),
            lambda: np.load(here / "objects.npy", allow_pickle=True),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        load()
        assert (folder / "executed").is_dir()
