"""demo: the whole path, ending with four runners that agree and everything written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from arithmos import settings
from arithmos.cli.selftest import self_test
from arithmos.errors import VerificationError
from arithmos.ir.codec import load, random_inputs
from arithmos.ir.graph import Graph
from arithmos.targets.export import export

needs_compiler = pytest.mark.skipif(settings.tool("cc") is None, reason="apt-get install gcc libc6-dev")


@pytest.mark.slow
@needs_compiler
def test_the_demonstration_ends_with_four_runners_that_agree(arithmos: Any, tmp_path: Path) -> None:
    for module, extra in (("torch", "torch"), ("onnxruntime", "onnx"), ("sklearn", "data"), ("matplotlib", "report")):
        pytest.importorskip(module, reason=f'pip install "arithmos[{extra}]"')
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
    assert {f.name for f in out.iterdir()} == {".arithmos", "net", "c", "onnx", "dump", "page"}
    assert load(out / "net").outputs == ("fc",)
    assert "all equal" in (out / "page" / "index.html").read_text()
    assert arithmos("verify", out / "dump").exit_code == 0
    tested = subprocess.run([str(out / "c" / "network"), "--self-test"], capture_output=True, text=True, check=True)
    assert tested.stdout == "self-test passed: 100 samples\n"
    assert arithmos("demo", "-o", out).exit_code == 2


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
