"""Mutants: the smallest change of one constant is seen, or provably changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

import factories
from arithmos.errors import UsageError
from arithmos.evidence import verify as verify_module
from arithmos.evidence.mutate import Mutation, apply, mutate
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph, Node
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import signed
from arithmos.ir.ops import INT
from arithmos.targets.target import Runner, Target, find


@pytest.mark.parametrize("name", ["residual_cnn", "gelu_table", "attention", "embedding", "interpolated_lookup"])
def test_every_mutant_that_can_be_seen_is_caught(name: str) -> None:
    report = mutate(factories.INTEGER[name](), each=2)
    assert report.ok, str(report)
    assert not report.skipped
    assert sum(row.caught for row in report.rows) >= 6, str(report)


def test_residual_cnn_has_every_kind_of_rounding_constant() -> None:
    report = mutate(factories.residual_cnn(), each=1)
    assert [row.kind for row in report.rows] == ["weight", "bias", "multiplier", "shift", "clamp"]
    assert [row.caught for row in report.rows] == [1, 1, 1, 1, 1]


def test_onnx_catches_them_too() -> None:
    pytest.importorskip("onnxruntime", reason='pip install "arithmos[onnx]"')
    report = mutate(factories.residual_cnn(), targets=("onnx",), each=1)
    assert report.ok, str(report)


def test_a_mutant_keeps_everything_but_one_number() -> None:
    graph = factories.residual_cnn()
    mutant = apply(graph, Mutation("weight", "stem.acc", "stem.acc.weight", "", (0, 1, 2, 0), 0, 99))
    check(mutant)
    assert set(mutant.values) == set(graph.values)
    assert [n for n in graph.constants if not np.array_equal(graph.constants[n], mutant.constants[n])] == [
        "stem.acc.weight"
    ]
    assert mutant.constants["stem.acc.weight"][0, 1, 2, 0] == 99
    assert digest(apply(graph, Mutation("shift", "stem", "", "shift", (), 24, 24))) == digest(graph)


def test_a_weight_whose_input_is_always_zero_is_equivalent() -> None:
    b = Builder("int")
    zero = b.add("clip", b.input("x", (-1, 4), signed(8)), lo=0, hi=0, name="zero")
    graph = b.graph(b.add("linear", zero, b.constant("w", np.arange(8).reshape(2, 4)), name="y"))
    report = mutate(graph, each=1)
    (weight,) = [row for row in report.rows if row.kind == "weight"]
    assert (weight.caught, weight.missed, weight.equivalent) == (0, (), 8)


def test_a_kind_that_no_target_runs_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(graph: Graph, node: Node) -> str:
        return "" if node.attrs.get("shift", 8) == 8 else "shifts by 8 only"

    target = replace(find("interpreter"), name="picky", refuse=refuse)
    monkeypatch.setattr(verify_module, "find", lambda name: target if name == "picky" else find(name))
    b = Builder("int")
    acc = b.add("linear", b.input("x", (-1, 4), signed(8)), b.constant("w", np.full((2, 4), 100)), name="acc")
    graph = b.graph(b.add("requantize", acc, shift=8, lo=-1000, hi=1000, name="y"))
    report = mutate(graph, targets=("picky",), each=1)
    rows = {row.kind: row for row in report.rows}
    assert (rows["weight"].caught, rows["shift"].caught, rows["shift"].not_run) == (1, 0, 1)
    assert not report.ok
    assert report.never_caught == ("shift", "clamp")
    lines = str(report).splitlines()
    assert "shift was never caught: its mutants can be seen, no target ran them" in lines
    assert "clamp was never caught: none of 4 mutants can be seen" in lines
    seen = mutate(graph, each=1)
    assert seen.ok
    assert seen.never_caught == ("clamp",)


def blind(graph: Graph, every: bool) -> Runner:
    """A runner that reads every weight without its lowest bit, and so cannot see it flipped."""
    b = Builder("int")
    for name in graph.inputs:
        b.input(name, graph.values[name].shape, graph.values[name].range)
    for name, array in graph.constants.items():
        b.constant(name, array.astype(np.int64) & ~1 if name.endswith("weight") else array)
    for node in graph.nodes:
        b.add(node.op, *node.inputs, name=node.output, **node.attrs)
    coarse = b.graph(*graph.outputs)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return evaluate(coarse, inputs, every=every)

    return run


def test_a_runner_that_cannot_see_a_change_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("blind", "", INT, blind)
    monkeypatch.setattr(verify_module, "find", lambda name: target if name == "blind" else find(name))
    b = Builder("int")
    weight = b.constant("fc.weight", np.arange(0, 16, 2).reshape(2, 4))
    graph = b.graph(b.add("linear", b.input("x", (-1, 4), signed(8)), weight, name="y"))
    report = mutate(graph, targets=("blind",), each=2)
    assert not report.ok
    (row,) = report.rows
    assert len(row.missed) == 2
    first = row.missed[0]
    assert first.startswith("weight fc.weight[")
    assert first.endswith(" by blind (every value)")
    assert str(report).splitlines()[:2] == [
        "mutant        caught  missed  equivalent  refused",
        "weight             0       2           0        0",
    ]


def test_a_float_graph_is_refused() -> None:
    with pytest.raises(UsageError, match="only an integer graph can be mutated"):
        mutate(factories.float_cnn())
