"""A proof on the page: constraints of the planned circuit, what the verifier measured, hashes, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.ir.codec import digest
from arithmos.report.figure import as_csv
from arithmos.report.figures import figures
from arithmos.report.page import write_page
from arithmos.report.proof import proof_facts
from arithmos.targets.zk.circuit import planned
from arithmos.targets.zk.cost import cost
from arithmos.targets.zk.statement import statement
from targets.zk.conftest import network

HASH = "5" * 64


def found(output: str = "values", public: tuple[str, ...] = ("output",)) -> dict[str, Any]:
    """What `verify` returns for a proof of the small network."""
    net = network()
    circuit = statement(net, output)
    ports = [{"value": circuit.outputs[0], "role": "output", "first": 1, "shape": [1, 4], "range": [-9000, 9000]}]
    ports += [{"value": "image", "role": "input", "first": 5, "shape": [1, 1, 6, 6], "range": [0, 15]}]
    said = {"model": digest(net), "circuit": digest(circuit), "field": "bn254", "output": output}
    times = {"wall_s": 0.4567, "cpu_s": 0.3214, "peak_mb": 24.6}
    return {
        "schema": 2,
        "groth16py": "0.2.0",
        "curve": "bn254",
        "setup": "ceremony <key>",
        "model_hash": HASH,
        "statement": {**said, "public": [port for port in ports if port["role"] in public]},
        "steps": {"setup": times, "save": times, "prove": {**times, "wall_s": 0.1}, "verify": {**times, "holds": True}},
        "values": {circuit.outputs[0]: np.array([[5, -60, 7, 8000]]), "image": np.zeros((1, 1, 6, 6), np.int64)},
        "verify_s": 0.0064,
        "verify_cpu_s": 0.005,
        "verify_peak_mb": 15.2,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "proved" / "proof").mkdir(parents=True)
    (tmp_path / "proved" / "proof" / "proof.bin").write_bytes(bytes(256))
    return tmp_path / "proved" / "proof"


def page_text(facts: dict[str, Any], folder: Path) -> str:
    pytest.importorskip("jinja2", reason='pip install "arithmos[report]"')
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    folder.mkdir()
    page = write_page(folder, network(), {"name": "net", "proof": facts})
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text()))


def test_the_facts_are_those_of_circuit_and_verifier(folder: Path) -> None:
    plan = cost(network())
    facts = json.loads(json.dumps(proof_facts(network(), folder, found(), trusted=True)))
    assert (facts["constraints"], facts["wires"], facts["nonzeros"]) == (plan.constraints, plan.wires, plan.nonzeros)
    assert sum(row["constraints"] for row in facts["rows"]) == plan.constraints
    assert facts["secret"] == ["image"] and facts["key_bytes"] is None and facts["proof_bytes"] == 256
    assert facts["steps"] == [
        {"step": "set up", "wall_s": 0.457, "cpu_s": 0.321, "peak_mb": 25},
        {"step": "prove", "wall_s": 0.1, "cpu_s": 0.321, "peak_mb": 25},
        {"step": "verify", "wall_s": 0.006, "cpu_s": 0.005, "peak_mb": 15},
    ]


def test_what_is_public_decides_the_circuit(folder: Path) -> None:
    facts = proof_facts(network(), folder, found("argmax", ("input", "output")), trusted=False)
    assert facts["secret"] == [] and facts["output"] == "argmax"
    assert facts["constraints"] == planned(statement(network(), "argmax"), ("input", "output")).n_constraints


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("model", f"it is of network {'0' * 16}, the bundle holds {digest(network())[:16]}"),
        ("circuit", f"its circuit is {'0' * 16}, this version makes {digest(statement(network()))[:16]}"),
    ],
)
def test_the_proof_of_another_network_is_refused(folder: Path, key: str, why: str) -> None:
    other = found()
    other["statement"][key] = "0" * 64
    with pytest.raises(UsageError) as caught:
        proof_facts(network(), folder, other, trusted=True)
    assert str(caught.value) == (
        "this proof is of another network\n"
        f"  at   {folder}\n"
        f"  why  {why}\n"
        "  fix  give the bundle that was proved, or prove this one: arithmos prove BUNDLE"
    )


def test_the_page_says_what_was_proved(folder: Path, tmp_path: Path) -> None:
    facts = proof_facts(network(), folder, found(), trusted=True) | {
        "refused": "the same proof with logit 3 changed by 1"
    }
    text = page_text(facts, tmp_path / "page")
    for said in (
        "A Groth16 proof on bn254 that this network gives this output",
        f"for a secret input: {facts['constraints']:,} constraints, 256 bytes",
        "It was verified when this page was written, and its model hash is the one that was expected.",
        "given the same proof with logit 3 changed by 1: rejected",
        "set up 0.457 0.321 25 MB",
        "verify 0.006 0.005 15 MB",
        f"model hash {HASH}",
        f"network {digest(network())}",
        f"circuit {digest(statement(network()))}",
        "public output logits, 1 × 4 integers in -9,000 … 9,000: 5, -60, 7, 8000",
        "secret image",
        "keys by ceremony &lt;key&gt;",
        "prover groth16py 0.2.0",
    ):
        assert said in text, said
    assert "proving key" not in text
    (figure,) = [figure for figure in figures(network(), {"proof": facts}) if figure.name == "proof"]
    assert (tmp_path / "page" / "figures" / "proof.csv").read_text() == as_csv(figure)
    assert ("relu", "requantize") not in {row[:2] for row in figure.rows}, "the pool is taken first"
    assert sum(row[3] for row in figure.rows) == facts["constraints"]
    assert (tmp_path / "page" / "figures" / "proof.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_a_public_input_and_a_class(folder: Path, tmp_path: Path) -> None:
    (folder.parent / "keys").mkdir()
    (folder.parent / "keys" / "proving.key").write_bytes(bytes(2_340_000))
    text = page_text(
        proof_facts(network(), folder, found("argmax", ("input", "output")), trusted=False), tmp_path / "page"
    )
    assert "which claims that this network gives this class for this input: " in text
    assert (
        "that its key is of this network was not: compare the model hash with one you trust, or give --model-" in text
    )
    assert "rejected" not in text
    assert "public input image, 1 × 1 × 6 × 6 integers in 0 … 15 " in text
    assert "secret nothing but the values between input and output" in text and "proving key 2.3 MB" in text
