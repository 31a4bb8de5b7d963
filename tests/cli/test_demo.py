"""demo: the whole path, ending with four runners that agree, a proof that holds, and everything written."""

from __future__ import annotations

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from arithmos import settings
from arithmos.cli import digit_proof
from arithmos.cli.selftest import self_test
from arithmos.errors import VerificationError
from arithmos.ir.codec import load, random_inputs
from arithmos.ir.graph import Graph
from arithmos.targets.export import export
from arithmos.targets.zk.verification import verify

MODULES = {
    "torch": "torch",
    "onnx": "onnxruntime",
    "data": "sklearn",
    "report": "matplotlib",
    "groth16": "groth16py",
}

needs_compiler = pytest.mark.skipif(settings.tool("cc") is None, reason="apt-get install gcc libc6-dev")


def need_extras(*extras: str) -> None:
    for extra in extras:
        if find_spec(MODULES[extra]) is None:
            pytest.skip(f'pip install "arithmos[{extra}]"')


@pytest.mark.slow
@needs_compiler
def test_the_demonstration_ends_with_four_runners_that_agree_and_a_proof(arithmos: Any, tmp_path: Path) -> None:
    need_extras("torch", "onnx", "data", "report", "groth16")
    out = tmp_path / "demo"
    result = arithmos("demo", "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    verification = facts["verification"]
    assert verification["ok"] and verification["mutations"]["ok"]
    assert {(row["target"], row["result"]) for row in verification["rows"]} == {
        ("engine", "equal"),
        ("onnx", "equal"),
        ("c", "equal"),
    }
    assert verification["samples"] == {"given": 449, "uniform": 600, "corners": 200, "ties": 200}
    assert facts["accuracy"]["float"]["percent"] > 97
    assert abs(facts["accuracy"]["difference_points"]) <= 0.6
    written = {f.name for f in out.iterdir()}
    assert written == {".arithmos", "net", "c", "onnx", "dump", "proof", "keys", "page"}
    proof = facts["proof"]
    assert proof["refused"] == "the same proof with logit 3 changed by 1" and proof["secret"] == ["images"]
    assert {step["step"] for step in facts["steps"]} >= {"set up, prove and verify", "verify another logit"}
    assert load(out / "net").outputs == ("fc",)
    page = (out / "page" / "index.html").read_text()
    assert "all equal" in page and proof["model_hash"] in page and 'changed by 1: <span class="yes">rejected' in page
    shown = arithmos("verify-proof", out / "proof", "--model-hash", proof["model_hash"], "--json")
    assert shown.exit_code == 0 and len(json.loads(shown.stdout)["values"]["fc"][0]) == 10
    assert arithmos("verify", out / "dump").exit_code == 0
    tested = subprocess.run([str(out / "c" / "network"), "--self-test"], capture_output=True, text=True, check=True)
    assert tested.stdout == "self-test passed: 100 samples\n"
    assert arithmos("demo", "-o", out).exit_code == 2


@pytest.mark.slow
@needs_compiler
def test_a_demonstration_whose_verifier_takes_any_logit_fails(
    arithmos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_extras("torch", "onnx", "data", "report", "groth16")
    honest: list[dict[str, Any]] = []

    def taken(proof: Path, **expected: Any) -> dict[str, Any]:
        honest.append(honest[0] if honest else verify(proof, **expected))
        return honest[0]

    monkeypatch.setattr(digit_proof, "verify", taken)
    result = arithmos("demo", "-o", tmp_path / "demo")
    assert result.exit_code == 1 and len(honest) == 2
    assert "the same proof with logit 3 changed by 1 was accepted" in result.stderr
    assert not (tmp_path / "demo").exists()


@needs_compiler
def test_the_self_test_of_the_exported_program_can_fail(net: Graph, tmp_path: Path) -> None:
    folder = export(net, "c", tmp_path / "c", golden=random_inputs(net, 2))
    assert self_test(folder).endswith("self-test passed: 2 samples")
    golden = folder / "golden.h"
    head, _, numbers = golden.read_text().rpartition("{\n")
    first = numbers.lstrip().partition(",")[0]
    golden.write_text(f"{head}{{\n{numbers.replace(first, str(int(first) + 1), 1)}")
    with pytest.raises(VerificationError, match=rf"is {first}, the interpreter says {int(first) + 1}"):
        self_test(folder)
