"""approximate: from weights and images to a bundle of polynomials, sweeps, plans, ranges, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from safetensors.torch import save_file  # noqa: E402

import arithmos as ar  # noqa: E402
from arithmos.cli.alpha_sweep import COLUMNS  # noqa: E402
from arithmos.evidence.deviation import deviation  # noqa: E402
from arithmos.models.registry import build, entry  # noqa: E402
from arithmos.train.data.datasets import load  # noqa: E402
from cli.refusals import listing, refused  # noqa: E402

OWN = """
import torch
from torch import nn

def make_model():
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(2, 3, 3), nn.Linear(12, 4)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)

def make_unsupported():
    return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Softmax(1))
"""

DIGITS = ("--model", "digits_cnn", "--n-calibration", "200", "--max-images", "60", "--batch-size", "32")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(build("digits_cnn", seed=3).state_dict(), file)
    return file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    np.save("samples.npy", np.random.default_rng(0).normal(size=(20, 2, 4, 4)).astype(np.float32))
    np.save("large.npy", np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32) * 50)
    np.save("constant.npy", np.ones((20, 2, 4, 4), np.float32))
    return tmp_path


@pytest.mark.slow
def test_a_network_of_the_zoo(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    result = arithmos("approximate", *DIGITS, "--weights", weights, "--alpha", "10", "--margin", "2", "-o", out)
    assert result.exit_code == 0, result.stderr
    files = {file.name for file in out.iterdir()}
    assert files >= {"graph.json", "tensors.safetensors", "golden.safetensors", "recipe.toml", "report.json"}
    facts, net = json.loads((out / "report.json").read_text()), ar.load(out)
    found = facts["deviation"]
    assert found["images"] == 60 and len(found["ranges"]) == len(facts["depth"]["polynomials"]) > 1
    assert facts["origin"]["calibration"] == "200 images of digits, train split"
    assert facts["origin"]["batch_size"] == 32 and len(facts["origin"]["weights_sha256"]) == 64
    assert re.search(rf"approximate +{found['approximate']['top1_percent']:.2f} ", result.stdout)
    assert f"{facts['depth']['multiplications']} multiplications" in result.stdout
    assert "alpha = 10" in (out / "recipe.toml").read_text() and str(tmp_path) not in json.dumps(facts)

    network = build("digits_cnn", seed=3)
    exact = ar.trace(network, torch.zeros(1, 1, 8, 8))
    images, labels = load("digits", "test", limit=60, preparation=entry("digits_cnn").preparation)
    again = deviation(exact, net, [(images, labels)])
    assert (again.exact.top1, again.approximate.top1) == (found["exact"]["top1"], found["approximate"]["top1"])
    assert 100 * again.same / 60 == pytest.approx(found["agreement_percent"], abs=1e-3)

    np.save(tmp_path / "images.npy", images[:2])
    ran = arithmos("run", out, "--input", tmp_path / "images.npy", "--json")
    np.testing.assert_allclose(json.loads(ran.stdout)[net.outputs[0]], ar.run(net, images[:2]), rtol=1e-6)
    shown = arithmos("show", out)
    assert "polynomial [7, 7, 13]" in shown.stdout and "|x| <= " in shown.stdout
    for verb, code, said in (
        (("verify",), 2, "error: a network of polynomials cannot be verified\n"),
        (("dump", "-o", tmp_path / "x"), 2, "error: a network of polynomials cannot be dumped\n"),
        (("export", "--target", "c", "-o", tmp_path / "x"), 4, "error: target 'c' runs integers\n"),
        (("prove", "-o", tmp_path / "x"), 4, "error: target 'zk' runs integers\n"),
    ):
        refusal = arithmos(verb[0], out, *verb[1:])
        assert refusal.exit_code == code and refusal.stderr.startswith(said) and not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_sweep_is_one_table(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    arguments = ("--sweep-alpha", "6,12-13", "--margin", "2", "-o", out, "--json")
    document = json.loads(arithmos("approximate", *DIGITS, "--weights", weights, *arguments).stdout)
    assert document == json.loads((out / "sweep.json").read_text())
    assert [row["alpha"] for row in document["rows"]] == [6, 12, 13]
    assert [step["step"] for step in document["steps"]].count("calibrate") == 1
    errors = [row["output_error_rms"] for row in document["rows"]]
    assert errors == sorted(errors, reverse=True) and errors[0] > 10 * errors[-1]
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and [row["degrees"] for row in rows] == ["3-7", "7-15-27", "15-15-27"]
    assert float(rows[-1]["top1_percent"]) == document["rows"][-1]["top1_percent"]


@pytest.mark.slow
def test_a_range_exceeded_ends_or_is_raised(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    narrow = ("approximate", "--model", "digits_cnn", "--weights", weights, "--n-calibration", "4", "--margin", "1")
    images = ("--max-images", "40", "--batch-size", "16")
    result = arithmos(*narrow, *images, "-o", tmp_path / "net")
    assert result.exit_code == 2 and not (tmp_path / "net").exists()
    what, where, _, *fix = result.stderr.splitlines()
    assert "of image " in what and ", outside [-" in what and "digits" not in where
    assert fix[0].startswith("  fix  B must be at least ") and "--B-search 1 raises it" in fix[0]
    found = arithmos(*narrow, *images, "--B-search", "0.5", "-o", tmp_path / "net")
    assert found.exit_code == 0 and "B before" in found.stdout
    raised = json.loads((tmp_path / "net" / "report.json").read_text())["deviation"]["raised"]
    bounds = {n.output: n.attrs["bound"] for n in ar.load(tmp_path / "net").nodes if n.op == "polynomial"}
    last = {row["polynomial"]: row["after"] for row in raised}
    assert last and {name: bounds[name] for name in last} == last
    rows = json.loads(arithmos(*narrow, *images, "--sweep-alpha", "12", "--json").stdout)["rows"]
    assert rows[0]["top1_percent"] is None and rows[0]["escape"].startswith("image ")


@pytest.mark.slow
def test_the_users_own_network_on_its_own_samples(arithmos: Any, here: Path) -> None:
    own = ("approximate", "--model", "own.py:make_model", "--example", "1x2x4x4", "--calibration", "samples.npy")
    document = json.loads(arithmos(*own, "--method", "fitted", "--recalibrate", "1", "-o", "net", "--json").stdout)
    assert document["deviation"]["images"] == 20 and document["deviation"]["exact"] is None
    assert document["origin"]["evaluated_on"] == "the calibration samples"
    assert document["depth"]["polynomials"][0]["degrees"] == [30]
    again = arithmos(
        "approximate", *own[1:], "--recipe", "net/recipe.toml", "--attribution", "3", "-o", "net2", "--json"
    )
    document = json.loads(again.stdout)
    assert (document["origin"]["approximation"], document["attribution"]["images"]) == ("fitted", 3)
    escape = arithmos("run", "net", "--input", "large.npy")
    assert escape.exit_code == 2 and "of image 0 is " in escape.stderr


@pytest.mark.slow
def test_random_weights_need_no_data(arithmos: Any, tmp_path: Path) -> None:
    arguments = ("--model", "digits_cnn", "--random-weights", "--method", "square", "-o", tmp_path / "net", "--json")
    document = json.loads(arithmos("approximate", *arguments).stdout)
    assert document["origin"]["calibration"] == "16 made images of noise" and document["origin"]["weights"] == "random"
    assert document["deviation"]["ranges"][0]["bound"] is None


def test_the_plan_reads_no_image(arithmos: Any, here: Path) -> None:
    before = listing(here)
    document = json.loads(
        arithmos("approximate", "--model", "digits_cnn", "--dry-run", "--B-relu", "9", "--json").stdout
    )
    kinds = {row["of"]: row for row in document["polynomials"]}
    assert kinds["activation"]["B"] == 9 and kinds["maximum"]["B"] == "measured"
    assert kinds["activation"]["degrees"] == [7, 15, 27] and kinds["activation"]["levels"] == 13
    assert document["multiplications"] == 24 * len(document["polynomials"])
    text = arithmos("approximate", "--model", "digits_cnn", "--dry-run", "--method", "square").stdout
    assert "digits_cnn: square; " in text and "max-pools stay exact" in text
    assert listing(here) == before


@pytest.mark.slow
def test_choices_on_held_out_images(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    chosen = (
        "--weights",
        weights,
        "--choose-margin",
        "--allocate",
        "levels=20",
        "--attribution",
        "3",
        "--B-search",
        "1",
    )
    document = json.loads(arithmos("approximate", *DIGITS, *chosen, "-o", tmp_path / "net", "--json").stdout)
    assert document["origin"]["calibration"] == "150 images of digits, train split, 50 held out"
    assert document["origin"]["approximation"] == "allocated"
    assert document["allocation"]["levels"] <= 20 and document["allocation"]["images"] == 50
    assert document["depth"]["activation_levels"] == document["allocation"]["levels"]
    names = {row["polynomial"] for row in document["depth"]["polynomials"]}
    assert document["attribution"]["images"] == 3
    assert {layer["name"] for layer in document["attribution"]["layers"]} == names
    assert json.loads((tmp_path / "net" / "report.json").read_text())["allocation"] == document["allocation"]


PLAIN = "approximate --model own.py:make_model --example 1x2x4x4 --calibration samples.npy -o net "
NO_RECIPE = "error: this recipe cannot be followed\n  why  {}\n  fix  the fields and their values are listed by"


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, PLAIN + "--alpha 3", NO_RECIPE.format("alpha must be an integer from 4 to 14, got 3")),
        (2, PLAIN + "--alpha 15", NO_RECIPE.format("alpha must be an integer from 4 to 14, got 15")),
        (2, PLAIN + "--B-relu 0", NO_RECIPE.format("B_relu must be a positive number, got 0.0")),
        (2, PLAIN + "--B-max -3", NO_RECIPE.format("B_max must be a positive number, got -3.0")),
        (2, PLAIN + "--B-relu wide", "'--B-relu': 'wide' is not a valid float."),
        (2, PLAIN + "--degrees 8,15", NO_RECIPE.format("degrees must be odd, from 1 to 31, got [8]")),
        (2, PLAIN + "--method sqare", "'sqare' is not one of 'composite', 'fitted', 'minimax', 'square', 'relu_aq'"),
        (2, PLAIN + "--set alhpa=4", "there is no 'alhpa', did you mean 'alpha'?"),
        (2, PLAIN + "--B-search 0", "0.0 is not in the range x>0"),
        (2, PLAIN + "--B-search nan", "error: --B-search cannot be nan\n"),
        (2, PLAIN + "--sweep-alpha 4-5 --dry-run", "error: --sweep-alpha does not go with --dry-run\n"),
        (2, PLAIN + "--allocate rms=nan", "error: no allocation can keep to rms=nan\n"),
        (2, PLAIN + "--batch-size 0", "'0' is neither auto nor a number of images from 1 on"),
        (
            2,
            PLAIN + "--batch-size 10000000000",
            "a batch of 10,000,000,000 images does not fit into the memory\n  why  an",
        ),
        (2, PLAIN + "--sweep-alpha 3-14", "'3-14' is no span of alphas from 4 to 14: 4-14, or 6,8,10"),
        (2, PLAIN + "--sweep-alpha 4-5 --method fitted", "--sweep-alpha goes with composites of published degrees"),
        (2, PLAIN + "--sweep-alpha 4-5 --attribution 1", "--sweep-alpha does not go with --allocate and --attribution"),
        (2, PLAIN + "--allocate level=9", "'level=9' is not levels=N, multiplications=N, points=X or rms=X"),
        (2, PLAIN + "--allocate levels=9,points=1", "error: an allocation needs one target\n"),
        (2, PLAIN + "--allocate levels=9 --recalibrate 1", "error: --allocate does not go with --recalibrate\n"),
        (2, PLAIN + "--choose-margin", "error: there are no images to hold out\n"),
        (2, PLAIN + "--published-ranges", "there are no published ranges for this network"),
        (2, PLAIN.replace("samples", "constant"), "error: the calibration inputs are constant\n  why  "),
        (2, PLAIN.replace("--calibration samples.npy", ""), "error: there is nothing to calibrate on\n"),
        (2, PLAIN.replace("-o net", ""), "error: there is nothing to write\n  why  no output is named\n"),
        (2, "approximate --model digits_cnn -o net", "error: 'digits_cnn' needs its weights\n"),
        (2, "approximate --model lenet5 --random-weights --data-dir none -o net", "there is no such data folder\n"),
        (2, PLAIN + "--method given --coefficients nan.json", "{here}"),
        (
            4,
            "approximate --model own.py:make_unsupported --example 1x4 --dry-run",
            "error: 2 nodes cannot become polynomials\n",
        ),
    ],
)
def test_bad_input_is_refused(arithmos: Any, here: Path, code: int, arguments: str, said: str) -> None:
    if "nan.json" in arguments:
        (here / "nan.json").write_text('{"schema": 1, "sets": [{"stages": [["nan", "0x1p0"]]}]}')
        said = "nan.json"
    refused(arithmos, here, code, arguments, said)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet44", "cifar_vgg11_bn", "resnet18", "vgg11_bn", "googlenet", "inception_v3"])
def test_published_networks_have_a_plan(arithmos: Any, model: str) -> None:
    document = json.loads(arithmos("approximate", "--model", model, "--alpha", "14", "--dry-run", "--json").stdout)
    assert {tuple(row["degrees"]) for row in document["polynomials"]} == {(15, 27, 29)}
    assert any(row["of"] == "maximum" for row in document["polynomials"]) == (model != "resnet44")


@pytest.mark.slow
def test_resnet20_at_alpha_14_is_the_exact_network(arithmos: Any, data_dir: Path, tmp_path: Path) -> None:
    weights = data_dir / "weights" / "cifar10-resnet20.safetensors"
    if not weights.is_file():
        pytest.skip("no trained ResNet-20")
    arguments = ("--model", "resnet20", "--weights", weights, "--data-dir", data_dir / "cifar10", "--alpha", "14")
    result = arithmos("approximate", *arguments, "--n-calibration", "500", "--max-images", "100", "--margin", "1.5",
                      "-o", tmp_path / "net", "--json")  # fmt: skip
    found = json.loads(result.stdout)["deviation"]
    assert found["exact"]["top1"] == found["approximate"]["top1"] == 94 and found["agreement_percent"] == 100
    assert found["output_error_rms"] < 0.005
