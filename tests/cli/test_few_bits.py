"""quantize with weights of few bits: the flags of papers, what is said of the fit, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.cli.few_bits import Tally, counted, fit_text  # noqa: E402
from arithmos.ir.build import Builder  # noqa: E402
from arithmos.ir.codec import load  # noqa: E402
from arithmos.lower.recipe import Recipe, read_recipe  # noqa: E402
from arithmos.models.registry import build  # noqa: E402


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    save_file(build("digits_mlp", seed=3).state_dict(), file)
    return file


def quantize(arithmos: Any, weights: Path, *given: str | Path) -> Any:
    common = ("--model", "digits_mlp", "--n-calibration", "40", "--evaluate", "60", "--json")
    return arithmos("quantize", weights, *common, *given)


def test_the_flags_of_papers_are_fields_of_the_recipe(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    given = ("--method", "gpfq", "-b", "3", "--scalar", "1.16", "--levels", "published", "--stochastic")
    result = quantize(arithmos, weights, *given, "--retain-rate", "0.5", "--error-correction", "weights", "-o", out)
    assert result.exit_code == 0, result.output
    assert read_recipe(out / "recipe.toml") == Recipe(
        weight_bits=3,
        rounding="spfq",
        scalar=1.16,
        levels="published",
        retain_rate=0.5,
        error_correction="weights",
        overrides={"*": {"weight_bits": 3}},
    )
    weights_of = [a for name, a in load(out).constants.items() if name.endswith("weight")]
    assert [max(-int(a.min()), int(a.max())) for a in weights_of] == [4] * len(weights_of), "2^3 + 1 levels"


def test_the_fit_of_every_layer_is_reported(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    document = json.loads(quantize(arithmos, weights, "--method", "gptq", "-b", "4", "-o", out).stdout)
    assert document["fit"] == json.loads((out / "report.json").read_text())["fit"]
    assert document["fit"]["method"] == "gptq"
    assert document["fit"]["float_activations"]["total"] == 60
    first, *others = document["fit"]["layers"]
    assert others
    assert (first["columns"], first["vectors"], first["bits"]) == (64, 40, 4)
    assert first["note"] == (
        "40 vectors for 64 columns: the Gram matrix has rank 40 at most, damped by 0.01 of its mean diagonal; "
        "give more samples"
    )
    assert 0 < first["relative_error"] < 1
    assert len(document["weights"]) == len(document["fit"]["layers"])


def test_rounding_to_nearest_has_no_fit(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    document = json.loads(quantize(arithmos, weights, "-b", "4", "-o", tmp_path / "net").stdout)
    assert "fit" not in document
    assert document["weights"]


def test_the_seed_is_that_of_the_draws(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        quantize(arithmos, weights, "--method", "spfq", "-b", "3", "--seed", seed, "-o", tmp_path / name)
        digests.append(json.loads((tmp_path / name / "report.json").read_text())["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_bits_of_all_layers_give_way_to_what_a_file_says_of_one(arithmos: Any, weights: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[overrides."*2*"]\nweight_bits = 6\n')
    plan = json.loads(quantize(arithmos, weights, "--recipe", recipe, "-b", "3", "--dry-run").stdout)
    assert sorted({node["weight_bits"] for node in plan["nodes"] if node["weight_bits"]}) == [3, 6]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("-b", "9"), "--bits cannot be 9\n  why  weights of few bits have 1 to 8"),
        (("-b", "0"), "--bits cannot be 0\n"),
        (("--stochastic",), "--stochastic does not go with --rounding nearest\n  why  it is gpfq that can round"),
        (("--method", "gpfq", "--scalar", "0"), "scalar must be a number above 0, at most 1000, got 0.0"),
        (("--method", "gpfq", "--scalar", "-1"), "scalar must be a number above 0, at most 1000, got -1.0"),
        (("--method", "gpfq", "--lambda", "-1"), "lamb must be a number above 0, got -1.0"),
        (("--regularizer", "L1"), "regularizer L1 needs rounding gpfq or gpfq+descent, got nearest"),
        (("-b", "3", "--weight-bits", "4"), "--bits and --weight-bits both choose the bits of weights\n"),
        (("--percentile", "0.9"), "--percentile does nothing here\n  why  it is the quantile that --scalar multiplies"),
        (("--method", "gpfq", "--lambda", "0.1"), "--lambda does nothing here\n  why  it is the threshold of --regul"),
        (("--set", "overrides=5", "-b", "3"), "overrides must be tables named by globs, got 5"),
    ],
)
def test_what_is_refused(arithmos: Any, weights: Path, tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    result = quantize(arithmos, weights, *given, "-o", tmp_path / "net")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "net").exists()


def test_right_answers_are_counted_as_they_pass() -> None:
    b = Builder("float")
    b.input("x", (-1, 6))
    graph = b.graph(b.add("mul", "x", b.constant("one", np.ones(6, np.float32)), name="y"))
    logits = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    tally = Tally()
    batches = [(logits, np.array([0, 0]))]
    assert list(counted(batches, graph, tally)) == batches
    assert (tally.total, tally.top1, tally.top5) == (2, 1, 1)


def test_three_notes_are_shown_and_the_others_counted() -> None:
    layers = [{"name": f"l{n}", "relative_error": n / 10, "note": "x" if n else ""} for n in range(6)]
    images = {"solved_on": 96, "calibrated_on": 256}
    facts = {"fit": {"float_activations": {"top1_percent": 91.25}, "layers": layers, **images}}
    assert fit_text(facts) == [
        "weights  91.25 % right with float activations",
        "fit      worst l5: 50.0 % of its results' norm is lost",
        "note     solved on the first 96 of 256 samples: no more fit 3 GB",
        "note     l1: x",
        "note     l2: x",
        "note     l3: x",
        "note     2 more layers have notes, in report.json",
    ]
    assert fit_text({}) == []
