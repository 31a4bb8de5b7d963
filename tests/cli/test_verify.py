"""verify and dump: agreement is exit code 0, a difference is exit code 1 with both numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from arithmos.errors import MissingTool, VerificationError
from arithmos.evidence import verify as verify_module
from arithmos.ir.graph import Graph
from arithmos.ir.ops import INT
from arithmos.targets.run import run
from arithmos.targets.target import Runner, Target

TARGETS = ("--targets", "engine,interpreter")


def test_runners_agree(arithmos: Any, bundle: Path, images: Path) -> None:
    result = arithmos("verify", bundle, "--input", images, *TARGETS, "--samples", "3")
    assert result.exit_code == 0, result.stderr
    assert "samples: 3 given, 3 uniform, 3 corners, 3 ties" in result.stdout
    assert "golden values: " in result.stdout and "elements equal" in result.stdout


def test_the_json_says_what_was_compared(arithmos: Any, bundle: Path) -> None:
    document = json.loads(arithmos("verify", bundle, *TARGETS, "--samples", "2", "--mutate", "--json").stdout)
    assert document["ok"] is True
    assert document["n_compared"] == document["n_equal"] > 0
    assert document["golden"]["n_compared"] == document["golden"]["n_equal"] > 0
    assert [row["target"] for row in document["rows"]] == ["engine", "engine", "interpreter", "interpreter"]
    assert document["mutations"]["ok"] is True and document["mutations"]["n_caught"] > 0


def test_the_page_shows_a_verification(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    found = tmp_path / "found.json"
    found.write_text(arithmos("verify", bundle, *TARGETS, "--samples", "1", "--json").stdout)
    assert arithmos("report", bundle, "--verification", found, "-o", tmp_path / "page").exit_code == 0
    assert 'id="verification"' in (tmp_path / "page" / "index.html").read_text()
    whole = json.loads(found.read_text())
    for document, why in [
        ({}, "it lacks interpreter_s, n_compared, n_equal, rows, samples, ties"),
        ({**whole, "ties": "x", "samples": 5}, "ties, samples is not what a verification has there"),
        ({**whole, "rows": [{"target": "c"}]}, "a row is not what a verification has there"),
        ([], "'list' object has no attribute 'keys'"),
    ]:
        found.write_text(json.dumps(document))
        refused = arithmos("report", bundle, "--verification", found, "-o", tmp_path / "other")
        assert refused.exit_code == 2 and "not the result of a verification" in refused.stderr
        assert f"  why  {why}\n" in refused.stderr


def resign(bundle: Path, name: str) -> None:
    """Record the file's hash anew, as somebody would who knows the format."""
    document = json.loads((bundle / "graph.json").read_text())
    document["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / "graph.json").write_text(json.dumps(document))


def forge_golden(bundle: Path, change: Any) -> None:
    golden = bundle / "golden.safetensors"
    values = {name: array.copy() for name, array in load_file(golden).items()}
    change(values)
    save_file(values, golden)
    resign(bundle, golden.name)


def test_stale_golden_values_are_no_disagreement_of_runners(arithmos: Any, net: Graph, bundle: Path) -> None:
    true = int(load_file(bundle / "golden.safetensors")["relu"][0, 1, 2, 3])

    def change(values: dict[str, np.ndarray]) -> None:
        values["relu"][0, 1, 2, 3] = true ^ 1

    forge_golden(bundle, change)
    result = arithmos("verify", bundle, *TARGETS, "--samples", "1")
    total = sum(array.size for array in load_file(bundle / "golden.safetensors").values())
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "error: the golden values do not match the network\n"
        f"  at   {bundle}\n"
        f"  why  relu[0, 1, 2, 3]: golden.safetensors holds {true ^ 1}, the network computes {true}\n"
        f"       1 of {total:,} golden numbers differ, in 1 values\n"
        "  fix  make the bundle again with `arithmos quantize`, or, if this is the right network, renew them in "
        "Python:\n"
        f'       ar.save(ar.load("{bundle}"), "renewed", golden=inputs)\n'
    )
    document = json.loads(arithmos("verify", bundle, *TARGETS, "--samples", "1", "--json").stdout)
    assert document["ok"] is False and document["n_compared"] == document["n_equal"]
    assert document["golden"] == {"n_compared": total, "n_equal": total - 1}


def test_golden_values_that_are_not_there(arithmos: Any, bundle: Path) -> None:
    forge_golden(bundle, lambda values: values.pop("relu"))
    result = arithmos("verify", bundle, *TARGETS, "--samples", "1")
    assert result.exit_code == 1
    assert "the golden values do not match the network\n" in result.stderr
    assert "  why  golden.safetensors lacks relu\n" in result.stderr


def test_golden_inputs_of_another_network(arithmos: Any, bundle: Path) -> None:
    forge_golden(bundle, lambda values: values.update(images=values["images"][:, :, :2].copy()))
    for verb in ("verify", "dump"):
        result = arithmos(verb, bundle, *(("-o", bundle.parent / "out") if verb == "dump" else TARGETS))
        assert result.exit_code == 2
        assert "error: the golden inputs do not fit the network\n" in result.stderr
        assert "  why  input 'images': has shape (1, 1, 2, 4), the network takes (N, 1, 4, 4)\n" in result.stderr


def test_nothing_compared_is_no_success(arithmos: Any, bundle: Path) -> None:
    result = arithmos("verify", bundle, "--targets", "")
    assert result.exit_code == 2 and "there is no target ''" in result.stderr


def test_bad_arguments_are_refused(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    for arguments, said in [
        (("--targets", "engine,onx"), "did you mean 'onnx'?"),
        (("--data-dir", tmp_path), "does not say which data set it is for"),
        (("--samples", "-1"), "--samples"),
    ]:
        result = arithmos("verify", bundle, *arguments)
        assert result.exit_code == 2
        assert said in result.stderr


def test_a_dump_holds_every_value_and_verifies_itself(
    arithmos: Any, net: Graph, bundle: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dump"
    result = arithmos("dump", bundle, "--input", images, "--witness", "-o", out)
    assert result.exit_code == 0, result.stderr
    stored = load_file(out / "values.safetensors")
    for name, array in run(net, np.load(images), every=True).items():
        assert np.array_equal(stored[name], array)
    checked = arithmos("verify", out)
    assert checked.exit_code == 0
    assert checked.stdout.startswith("consistent: ")


def test_a_dump_with_one_flipped_bit_ends_with_1(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "dump"
    assert arithmos("dump", bundle, "-o", out).exit_code == 0
    file = out / "values.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    result = arithmos("verify", out, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["ok"] is False and document["problems"]
    assert "the dump is not one inference of its network" in result.stderr


@pytest.mark.parametrize("form", ["npz", "hex", "c"])
def test_dumps_come_in_open_formats(arithmos: Any, bundle: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "dump"
    document = json.loads(arithmos("dump", bundle, "--format", form, "--values", "conv1*", "-o", out, "--json").stdout)
    assert document["format"] == form and document["samples"] == 1
    assert arithmos("verify", out).exit_code == 0


def test_the_plan_of_a_dump_writes_nothing(arithmos: Any, bundle: Path, images: Path, tmp_path: Path) -> None:
    planned = json.loads(
        arithmos("dump", bundle, "--input", images, "-o", tmp_path / "d", "--dry-run", "--json").stdout
    )
    assert not (tmp_path / "d").exists()
    arithmos("dump", bundle, "--input", images, "-o", tmp_path / "d")
    assert planned["bytes"] == sum(array.nbytes for array in load_file(tmp_path / "d" / "values.safetensors").values())


def test_a_glob_without_a_match_is_refused(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    result = arithmos("dump", bundle, "--values", "layer9.*", "-o", tmp_path / "d")
    assert result.exit_code == 2
    assert "no value matches 'layer9.*'" in result.stderr
    assert not (tmp_path / "d").exists()


LACKS = "'narrow' has no 'conv'"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets narrow, which lacks ops; absent, whose tool is missing; broken, whose every run ends with an error."""

    def missing(graph: Graph, every: bool) -> Runner:
        raise MissingTool("this needs sometool", why="sometool is not installed", fix="get sometool")

    def broken(graph: Graph, every: bool) -> Runner:
        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            raise VerificationError("sometool computes otherwise", why="it shifts by 3", fix="shift by 2")

        return run

    made = {
        "narrow": Target("narrow", "", {"linear"}, missing),
        "absent": Target("absent", "", INT, missing),
        "broken": Target("broken", "", INT, broken),
    }
    known = verify_module.find
    monkeypatch.setattr(verify_module, "find", lambda name: made.get(name) or known(name))


@pytest.mark.parametrize(
    ("targets", "code", "table", "error"),
    [
        ("narrow", 4, LACKS, "error: target 'narrow' cannot run 4 of 5 nodes\n  why  conv1.acc: "),
        ("engine,narrow", 4, LACKS, "error: target 'narrow' cannot run 4 of 5 nodes\n  why  conv1.acc: "),
        ("absent,engine", 3, "absent was not compared: sometool", "error: this needs sometool\n  why  sometool is not"),
        ("broken,engine", 1, "broken, outputs: sometool computes otherwise\n", "error: sometool computes otherwise\n"),
    ],
)
def test_a_target_that_was_named_must_run(
    arithmos: Any, bundle: Path, others: None, targets: str, code: int, table: str, error: str
) -> None:
    """And what became of the others is told all the same."""
    result = arithmos("verify", bundle, "--targets", targets, "--samples", "1")
    assert result.exit_code == code
    assert table in result.stdout and error in result.stderr, result.output
    document = json.loads(arithmos("verify", bundle, "--targets", targets, "--samples", "1", "--json").stdout)
    found = {row["target"]: row["result"] for row in document["rows"]}
    assert found.pop("engine", "equal") == "equal" and document["ok"] is False
    assert list(found.values()) == ["failed" if code == 1 else "skipped"]


def test_a_default_target_may_be_missing(arithmos: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = verify_module.find

    def find(name: str) -> Target:
        return replace(known(name), ops=set()) if name == "onnx" else known(name)

    monkeypatch.setattr(verify_module, "find", find)
    result = arithmos("verify", bundle, "--samples", "1")
    assert result.exit_code == 0 and "onnx was not compared: " in result.stdout
