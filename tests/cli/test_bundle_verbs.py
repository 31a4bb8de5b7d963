"""run, show, export, report and doctor: what they print, write and refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from arithmos.ir.border import to_real
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.targets.run import run


def test_run_prints_the_integers(arithmos: Any, net: Graph, bundle: Path, images: Path) -> None:
    expected = run(net, np.load(images))
    result = arithmos("run", bundle, "--input", images)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == "".join(" ".join(map(str, row)) + "\n" for row in expected.tolist())


def test_run_as_json_and_on_the_interpreter_says_the_same(
    arithmos: Any, net: Graph, bundle: Path, images: Path
) -> None:
    for target in ("engine", "interpreter"):
        document = json.loads(arithmos("run", bundle, "--input", images, "--target", target, "--json").stdout)
        assert document == {"fc": run(net, np.load(images)).tolist()}


def test_run_prints_and_writes_the_real_numbers(
    arithmos: Any, net: Graph, bundle: Path, images: Path, tmp_path: Path
) -> None:
    real = to_real(net, run(net, np.load(images), every=True))
    result = arithmos("run", bundle, "--input", images, "--real", "--json")
    assert json.loads(result.stdout) == {"fc": real["fc"].tolist()}
    out = tmp_path / "real.npz"
    assert arithmos("run", bundle, "--input", images, "--real", "--every", "-o", out).exit_code == 0
    stored = dict(np.load(out))
    assert stored.keys() == real.keys() and all(np.array_equal(stored[name], real[name]) for name in real)


def test_a_gpu_that_is_not_there(
    arithmos: Any, bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    for verb in (
        ("run", bundle, "--input", images),
        ("verify", bundle, "--targets", "interpreter, engine"),
        ("dump", bundle, "-o", tmp_path / "dump"),
    ):
        result = arithmos(*verb, "--device", "cuda")
        assert result.exit_code == 2
        assert result.stderr == (
            "error: there is no CUDA device\n"
            "  why  this torch is built without CUDA\n"
            "  fix  give --device cpu, or install torch with CUDA as pytorch.org says\n"
        )
        assert arithmos(*verb, "--device", "auto").exit_code == 0
    result = arithmos("run", bundle, "--input", images, "--device", "cuda", "--target", "c")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: target 'c' has no devices\n"
        "  why  it runs on the processor; target engine runs on others too\n"
        "  fix  leave the device out, or name engine@cuda\n"
    )
    result = arithmos("verify", bundle, "--device", "cuda", "--targets", "c,onnx")
    assert result.exit_code == 2 and "--device cuda goes with target engine" in result.stderr


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_run_writes_every_value(
    arithmos: Any, net: Graph, bundle: Path, images: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"values{suffix}"
    result = arithmos("run", bundle, "--input", images, "--every", "-o", out)
    assert result.exit_code == 0
    stored = load_file(out) if suffix == ".safetensors" else dict(np.load(out))
    expected = run(net, np.load(images), every=True)
    assert set(stored) == set(expected)
    assert all(np.array_equal(stored[name], expected[name]) for name in expected)


def test_run_refuses_before_it_starts(arithmos: Any, bundle: Path, images: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npy"
    np.save(wrong, np.zeros((1, 1, 4, 5), dtype=np.float32))
    existing = tmp_path / "old.npy"
    existing.write_text("mine")
    for arguments, said in [
        (("--input", wrong), "has shape (1, 1, 4, 5), the network takes (N, 1, 4, 4)"),
        (("--input", images, "--target", "engin"), "did you mean 'engine'?"),
        (("--input", images, "--every", "-o", tmp_path / "x.npy"), ".npy holds one array"),
        (("--input", images, "-o", tmp_path / "x.txt"), "known are .npy, .npz, .safetensors"),
        (("--input", images, "-o", existing), "exists"),
    ]:
        result = arithmos("run", bundle, *arguments)
        assert result.exit_code == 2, arguments
        assert said in result.stderr and "Traceback" not in result.stderr
    assert existing.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"net", "images.npy", "wrong.npy", "old.npy"}


def test_show_prints_the_graph(arithmos: Any, net: Graph, bundle: Path) -> None:
    text = arithmos("show", bundle).stdout
    assert "conv1.acc" in text and "conv1 (model.py:7)" in text and "MACs" in text
    assert json.loads(arithmos("show", bundle, "--json").stdout)["digest"] == digest(net)
    assert arithmos("show", bundle, "--mermaid").stdout.startswith("flowchart TD\n")


def test_show_chooses_layers_by_name_or_module(arithmos: Any, bundle: Path) -> None:
    rows = json.loads(arithmos("show", bundle, "--layer", "conv1*", "--json").stdout)
    assert [row["value"] for row in rows] == ["conv1.acc"]
    assert [row["value"] for row in json.loads(arithmos("show", bundle, "--layer", "fc", "--json").stdout)] == [
        "fc.acc",
        "fc",
    ]
    result = arithmos("show", bundle, "--layer", "conv9")
    assert result.exit_code == 2
    assert "no value matches 'conv9'" in result.stderr


def test_a_folder_that_is_no_bundle_is_refused(arithmos: Any, tmp_path: Path, images: Path) -> None:
    result = arithmos("run", tmp_path, "--input", images)
    assert result.exit_code == 2
    assert "it has no graph.json" in result.stderr
    assert arithmos("show", tmp_path / "nothing").exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_bundle_without_permission_is_refused(arithmos: Any, bundle: Path) -> None:
    (bundle / "graph.json").chmod(0)
    result = arithmos("show", bundle)
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr


def test_export_lists_what_it_wrote(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')
    planned = arithmos("export", bundle, "--target", "onnx", "-o", tmp_path / "onnx", "--dry-run")
    assert planned.exit_code == 0
    assert not (tmp_path / "onnx").exists()
    document = json.loads(arithmos("export", bundle, "--target", "onnx", "-o", tmp_path / "onnx", "--json").stdout)
    assert document["files"] == {
        f.name: f.stat().st_size for f in (tmp_path / "onnx").iterdir() if not f.name.startswith(".")
    }
    again = arithmos("export", bundle, "--target", "onnx", "-o", tmp_path / "onnx")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert arithmos("export", bundle, "--target", "onnx", "-o", tmp_path / "onnx", "--force").exit_code == 0


def test_export_takes_the_options_of_the_target(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    assert arithmos("export", bundle, "--target", "c", "--set", "name=tiny", "-o", tmp_path / "c").exit_code == 0
    assert (tmp_path / "c" / "tiny.h").is_file()
    result = arithmos("export", bundle, "--target", "c", "--set", "nmae=tiny", "-o", tmp_path / "d")
    assert result.exit_code == 2
    assert "target 'c' has no option nmae" in result.stderr and "its options are name, trace" in result.stderr
    assert not (tmp_path / "d").exists()


def test_the_engine_has_nothing_to_export(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    result = arithmos("export", bundle, "--target", "interpreter", "-o", tmp_path / "x")
    assert result.exit_code == 2
    assert "has no files to export" in result.stderr
    assert not (tmp_path / "x").exists()


def test_report_writes_a_page(arithmos: Any, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    result = arithmos("report", bundle, "-o", tmp_path / "page")
    assert result.exit_code == 0
    assert "<h1>net</h1>" in (tmp_path / "page" / "index.html").read_text()
    (bundle / "report.json").write_text("[]")
    refused = arithmos("report", bundle, "-o", tmp_path / "again")
    assert refused.exit_code == 2
    assert "report.json does not match its digest" in refused.stderr
    assert not (tmp_path / "again").exists()


def test_doctor_names_packages_and_variables(arithmos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    document = json.loads(arithmos("doctor", "--json").stdout)
    assert document["packages"]["numpy"] == np.__version__
    assert {"name": "ARITHMOS_CACHE", "value": str(tmp_path)}.items() <= document["variables"][0].items()
    assert all(ability["fix"] for ability in document["abilities"])
    text = arithmos("doctor").stdout
    assert "ARITHMOS_OFFLINE" in text and "interpreter, bundles, command line" in text


def test_doctor_names_what_proves(arithmos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "snarkjs"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    can = {a["name"]: a for a in json.loads(arithmos("doctor", "--json").stdout)["abilities"]}
    assert can["groth16"]["fix"] == 'pip install "arithmos[groth16]"'
    assert can[f"snarkjs ({program})"] == {
        "name": f"snarkjs ({program})",
        "gives": "keys of a ceremony for proofs",
        "works": True,
        "fix": "optional: npm install -g snarkjs@0.7.6",
    }
    program.unlink()
    assert "snarkjs" in {a["name"] for a in json.loads(arithmos("doctor", "--json").stdout)["abilities"]}


def test_doctor_says_how_large_the_cache_is(arithmos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "weights").write_bytes(bytes(1_000_000))
    assert f"1.00  rm -r {tmp_path}/hub\n" in arithmos("doctor").stdout
    document = json.loads(arithmos("doctor", "--json").stdout)
    assert {"name": "hub", "files": 1, "mb": 1.0, "clear": f"rm -r {tmp_path}/hub"} in document["cache"]


def test_doctor_survives_a_wrong_setting_and_tells_the_fix(arithmos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_CC", "/nowhere/cc")
    result = arithmos("doctor")
    assert result.exit_code == 0
    assert "ARITHMOS_CC does not name the C compiler" in result.stdout
    compiler = next(
        a for a in json.loads(arithmos("doctor", "--json").stdout)["abilities"] if a["name"] == "C compiler"
    )
    assert not compiler["works"] and "unset it" in compiler["fix"]


def test_progress_goes_to_stderr_on_request(arithmos: Any, bundle: Path, images: Path) -> None:
    result = arithmos("run", bundle, "--input", images, "-v")
    assert "run on engine" in result.stderr and "MB" in result.stderr
    assert "run on engine" not in result.stdout


def test_models_lists_the_zoo(arithmos: Any) -> None:
    document = json.loads(arithmos("models", "resnet2*", "--json").stdout)
    assert [model["name"] for model in document] == ["resnet20"]
    assert "269,722" in arithmos("models").stdout
    result = arithmos("models", "alexnet*")
    assert result.exit_code == 2
    assert "no model matches 'alexnet*'" in result.stderr


def test_models_checks_a_target(arithmos: Any) -> None:
    pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    result = arithmos("models", "digits_cnn", "--check", "engine", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"model": "digits_cnn", "target": "engine", "problem": ""}]
    assert arithmos("models", "digits_cnn", "--check", "engin").exit_code == 2
