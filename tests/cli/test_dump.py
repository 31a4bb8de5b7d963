"""dump: of a bundle, or of a network that is quantized for it, in one command; what does not go together is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.models.registry import build  # noqa: E402

RANDOM = ("--model", "digits_mlp", "--random-weights")


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    save_file(build("digits_mlp", seed=3).state_dict(), file)
    return file


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    file = tmp_path / "samples.npy"
    np.save(file, np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32))
    return file


def test_random_weights_in_one_command(arithmos: Any, tmp_path: Path) -> None:
    out = tmp_path / "dump"
    result = arithmos("dump", *RANDOM, "--witness", "--weight-bits", "4", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"wrote {out}: 1 samples, ")
    assert arithmos("verify", out).stdout.startswith("consistent: ")
    origin = manifest(out)["origin"]
    assert (origin["model"], origin["weights"]) == ("digits_mlp", "random")
    assert origin["calibration"] == "4 made images of noise"
    assert origin["recipe"]["weight_bits"] == 4


def test_it_is_the_network_that_quantize_makes(arithmos: Any, weights: Path, samples: Path, tmp_path: Path) -> None:
    given = ("--model", "digits_mlp", "--calibration", samples, "--weight-bits", "6")
    assert arithmos("quantize", weights, *given, "-o", tmp_path / "net").exit_code == 0
    result = arithmos("dump", "--weights", weights, *given, "-o", tmp_path / "direct")
    assert result.exit_code == 0, result.stderr
    direct = manifest(tmp_path / "direct")
    assert direct["model"] == json.loads((tmp_path / "net" / "graph.json").read_text())["digest"]
    assert direct["origin"]["weights"] == "weights.safetensors"
    assert direct["origin"]["calibration"] == "20 samples of samples.npy"
    np.save(tmp_path / "one.npy", np.load(samples)[:1])
    again = ("dump", tmp_path / "net", "--input", tmp_path / "one.npy", "-o", tmp_path / "of_bundle")
    assert arithmos(*again).exit_code == 0
    of_bundle = manifest(tmp_path / "of_bundle")
    assert of_bundle["roots"] == direct["roots"]
    assert of_bundle["origin"]["weights_sha256"] == direct["origin"]["weights_sha256"]


def test_the_users_own_network_and_input(arithmos: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import torch\n\ndef make():\n    return torch.nn.Linear(4, 3)\n")
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "two.npy", rows[3:])
    given = ("--model", f"{tmp_path / 'own.py'}:make", "--example", "1x4", "--calibration", tmp_path / "rows.npy")
    result = arithmos("dump", *given, "--input", tmp_path / "two.npy", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["samples"] == 2
    assert document["origin"]["weights"] == "the network's own"
    assert arithmos("verify", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("field", ["bn254", "m31"])
def test_a_field_and_chunks(arithmos: Any, bundle: Path, tmp_path: Path, field: str) -> None:
    out = tmp_path / field
    result = arithmos("dump", bundle, "--witness", "--chunks", "14", "--field", field, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert manifest(out)["field"]["name"] == field
    assert any(t["name"].endswith(":rem.chunks") for t in manifest(out)["tensors"])
    assert arithmos("verify", out).exit_code == 0


def test_the_plan_of_a_model_writes_nothing(arithmos: Any, tmp_path: Path) -> None:
    result = arithmos("dump", *RANDOM, "-o", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 samples, ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--model", "digits_mlp"),
            "error: 'digits_mlp' needs its weights\n"
            "  why  a network of the zoo is built with random ones, which answer at random\n"
            "  fix  name their file with --weights, or say --random-weights where the answer does not matter\n",
        ),
        (
            (*RANDOM, "--weights", "{weights}"),
            "error: weights and --random-weights are given\n  at   {weights}\n"
            "  why  a network has one of them\n  fix  leave --random-weights out\n",
        ),
        (
            (),
            "error: nothing to dump is named\n  why  a dump shows one network\n"
            "  fix  give a BUNDLE, or --model with --weights\n",
        ),
        (
            ("{bundle}", *RANDOM),
            "error: a bundle and a model are named\n  why  a dump shows one network\n"
            "  fix  give a BUNDLE, or --model with --weights\n",
        ),
        (
            ("{bundle}", "--weight-bits", "4", "--seed", "1", "--random-weights"),
            "error: a bundle does not go with --random-weights, --seed, --weight-bits\n"
            "  why  these make an integer network, and a bundle is one already\n"
            "  fix  leave them out, or give --model instead of the bundle\n",
        ),
        (
            ("{bundle}", "--chunks", "8"),
            "error: there is nothing to cut into chunks\n  why  chunks are cut of the values of a witness\n"
            "  fix  ask for the witness too\n",
        ),
    ],
)
def test_what_is_refused(
    arithmos: Any, bundle: Path, weights: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    names = {"bundle": bundle, "weights": weights}
    result = arithmos("dump", *(a.format(**names) for a in arguments), "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert said.format(**names) in result.stderr
    assert not (tmp_path / "out").exists()
