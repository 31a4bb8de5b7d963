"""What is refused and why, the folder that is written, and ezkl itself where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import factories
from arithmos.errors import MissingTool, UnsupportedNetwork, UsageError
from arithmos.evidence.verify import verify
from arithmos.ir.build import Builder
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import signed
from arithmos.targets.export import export
from arithmos.targets.ezkl import TARGET
from arithmos.targets.ezkl.prove import FIELD, integers, logrows
from arithmos.targets.target import preflight
from random_operations import operations
from targets.ezkl.test_exact import supported, wide_constants

onnx = pytest.importorskip("onnx", reason='pip install "arithmos[onnx]"')
INSTALL = "pip install ezkl==23.0.5 (CI does not: ezkl names no licence since January 2024)"
needs_ezkl = pytest.mark.skipif(find_spec("ezkl") is None, reason=INSTALL)


def unfit() -> Graph:
    """One node of each kind that ezkl cannot be told exactly, and one that it can."""
    b = Builder("int")
    x, wide = b.input("x", (-1, 3), signed(8)), b.input("wide", (-1, 3), signed(31))
    two = b.constant("two", np.array(2))
    b.add("add", x, two, name="fits")
    b.add("add", wide, two, name="input")
    b.add("floor_div", x, two, name="quotient")
    b.add("isqrt", b.add("clip", x, lo=0, hi=None), name="root")
    b.add("shift_right", x, b.add("clip", x, lo=0, hi=3, name="s"), name="shifted")
    product = b.add("mul", x, b.constant("big", np.array(1 << 50)), name="product")
    empty = b.add("sub", b.constant("none", np.zeros((0,), np.int64)), two, name="empty")
    return b.graph(product, empty)


def test_every_node_that_does_not_fit_is_named() -> None:
    b = Builder("int")
    rows = b.input("rows", (1, 3), signed(8))
    b.add("concat", rows, b.constant("odd", np.array([[(1 << 24) + 1]])), axis=1, name="joined")
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(b.graph(rows), TARGET)
    assert "its constant 'odd' has more than 24 significant bits: ezkl reads float32" in str(caught.value)
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(unfit(), TARGET)
    assert str(caught.value) == (
        "target 'ezkl' cannot run 6 of 9 nodes\n"
        "  why  input: its input 'wide' needs 31 bits, and ezkl reads inputs as float32\n"
        "       quotient: 'ezkl' has no 'floor_div'\n"
        "       root: 'ezkl' has no 'isqrt'\n"
        "       shifted: it shifts by a value that is computed: ezkl shifts by constants\n"
        "       product: its numbers need 58 bits, and 52 can be followed exactly\n"
        "       empty: 'none' has no elements\n"
        "  fix  choose another target, or quantize the network so that these nodes do not arise"
    )


def test_the_folder(tmp_path: Path) -> None:
    graph = factories.residual_cnn()
    inputs = random_inputs(graph, 3)
    folder = export(graph, "ezkl", tmp_path / "net", golden=inputs)
    names = ["README.md", "expected.json", "input.json", "model.onnx", "prove.py", "run_args.json"]
    assert sorted(p.name for p in folder.iterdir() if p.suffix) == names
    assert json.loads((folder / "run_args.json").read_text()) == {
        "decomp_base": 16384,
        "decomp_legs": 3,
        "input_scale": 0,
        "input_visibility": "private",
        "output_visibility": "public",
        "param_scale": 0,
        "param_visibility": "fixed",
    }
    first = {"image": inputs["image"][:1]}
    assert json.loads((folder / "input.json").read_text()) == {"input_data": [first["image"].reshape(-1).tolist()]}
    logits = evaluate(graph, first)["logits"].reshape(-1).tolist()
    assert json.loads((folder / "expected.json").read_text()) == {"logits": logits}
    model = onnx.load(folder / "model.onnx")
    assert {t.data_type for t in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert "Div" not in {node.op_type for node in model.graph.node}
    page = (folder / "README.md").read_text()
    assert digest(graph) in page and "python prove.py all" in page and "Public: output;" in page


def test_what_is_public(tmp_path: Path) -> None:
    folder = export(factories.residual_cnn(), "ezkl", tmp_path / "net", public="input,output")
    arguments = json.loads((folder / "run_args.json").read_text())
    assert (arguments["input_visibility"], arguments["output_visibility"]) == ("public", "public")
    with pytest.raises(UsageError) as caught:
        export(factories.residual_cnn(), "ezkl", tmp_path / "other", public="weights")
    assert str(caught.value) == (
        "what is public cannot be 'weights'\n"
        "  why  a proof shows the output, and the input if you like; weights are constants, which the key fixes\n"
        "  fix  choose output, or input,output"
    )
    assert not (tmp_path / "other").exists()


def test_without_ezkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arithmos.targets.ezkl.runner.find_spec", lambda name: None)
    with pytest.raises(MissingTool) as caught:
        TARGET.prepare(factories.residual_cnn(), False)
    assert str(caught.value) == (
        "this needs ezkl\n"
        "  why  ezkl is not installed\n"
        "  fix  pip install ezkl==23.0.5\n"
        "       (it names no licence since January 2024: no extra of arithmos installs it, decide for yourself)"
    )
    check = verify(factories.residual_cnn(), targets=("ezkl",), uniform=1, corners=0, ties=0)
    assert check.skipped == ("ezkl",) and "pip install ezkl==23.0.5" in str(check)


def said(folder: Path, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run([sys.executable, "-I", folder / "prove.py", *arguments], capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_program_names_its_steps(tmp_path: Path) -> None:
    folder = export(factories.residual_cnn(), "ezkl", tmp_path / "net")
    code, lines = said(folder, "proof")
    assert code == 2 and lines == [
        {
            "error": "there is no step proof",
            "fix": "all, or some of settings, compile, witness, compare, srs, setup, prove, verify",
            "kind": "usage",
        }
    ]
    if find_spec("ezkl") is None:
        code, lines = said(folder)
        assert code == 3 and lines[0]["fix"] == "pip install ezkl==23.0.5"


def test_field_elements_become_integers(tmp_path: Path) -> None:
    numbers = [0, 5, -7, 1 << 40, -(1 << 40)]
    texts = [(number % FIELD).to_bytes(32, "little").hex() for number in numbers]
    (tmp_path / "witness.json").write_text(json.dumps({"outputs": [texts]}))
    assert integers(tmp_path / "witness.json") == [numbers]


@pytest.mark.parametrize(("rows", "k"), [(4082, 12), (4085, 13), (259_119, 18), (300, 10)])
def test_the_least_size_that_holds_the_circuit(rows: int, k: int) -> None:
    found = {"num_rows": rows, "total_const_size": 700, "total_dynamic_col_size": 0}
    assert logrows(found) == k


@needs_ezkl
@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual_cnn", "pools", "convolutions", "inception", "gelu_table", "embedding"])
def test_ezkl_computes_the_integers(name: str) -> None:
    assert verify(factories.INTEGER[name](), targets=("ezkl",), uniform=2, corners=2, ties=1).ok


@needs_ezkl
@pytest.mark.slow
def test_ezkl_computes_random_networks_and_wide_constants() -> None:
    fitting = [graph for seed in range(30) if supported(graph := operations(seed))]
    for graph in [wide_constants(), *fitting]:
        check = verify(graph, targets=("ezkl",), uniform=2, corners=2, ties=1)
        assert check.ok, f"{[node.op for node in graph.nodes]}\n{check}"


@needs_ezkl
@pytest.mark.slow
def test_ezkl_proves_and_a_wrong_expectation_is_seen(tmp_path: Path) -> None:
    b = Builder("int")
    x = b.input("x", (-1, 4), signed(4))
    acc = b.add("linear", x, b.constant("w", np.array([[3, -5, 7, 2], [1, 1, 1, -9]])), name="acc")
    net = b.graph(b.add("requantize", acc, shift=3, lo=0, hi=7, name="y"))
    folder = export(net, "ezkl", tmp_path / "net")
    code, lines = said(folder, "all")
    assert code == 0 and lines[-1]["holds"] is True
    assert next(line for line in lines if line["step"] == "compare")["equal"] is True
    (folder / "expected.json").write_text(json.dumps({"y": [8, 8]}))
    code, lines = said(folder, "compare")
    assert code == 1 and lines[-1]["equal"] is False
