"""The float network in step: the inputs of every layer, in graph order, by numpy and by torch."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.interpret import evaluate
from arithmos.lower import analog
from arithmos.lower.analog import kept_samples, layer_inputs, live_bytes
from arithmos.lower.quantize import prepare
from arithmos.lower.recipe import Recipe
from arithmos.targets.clear.nodes import run_node
from lower.trained import trained


def test_every_layer_gets_what_the_float_network_gives_it() -> None:
    graph, stats = trained()
    prepared = prepare(graph)
    found = dict(layer_inputs(prepared, stats.samples))
    layers = [node for node in prepared.nodes if node.op in ("conv", "linear")]
    assert list(found) == [node.output for node in layers]
    for index, sample in enumerate(stats.samples):
        values = evaluate(prepared, sample, every=True)
        for node in layers:
            assert np.array_equal(found[node.output][index], values[node.inputs[0]])


def test_torch_computes_the_same_within_rounding() -> None:
    graph, stats = trained()
    prepared = prepare(graph)
    pairs = zip(layer_inputs(prepared, stats.samples), layer_inputs(prepared, stats.samples, run_node), strict=True)
    for (name, ours), (other, theirs) in pairs:
        assert name == other
        assert all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_live_bytes_are_those_of_the_widest_moment() -> None:
    graph, stats = trained()
    prepared = prepare(graph)
    sizes = {name: array[:1].nbytes for name, array in evaluate(prepared, stats.samples[0], every=True).items()}
    widest = max(sizes.values())
    assert 2 * widest <= live_bytes(prepared) <= 4 * widest


def test_samples_are_kept_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder("float")
    graph = b.graph(b.add("relu", b.input("x", (-1, 1000)), name="y"))
    solved = Recipe(rounding="gpfq")
    assert [kept_samples(graph, Recipe(), n) for n in (40, 500)] == [40, 64]
    assert [kept_samples(graph, solved, n) for n in (40, 500)] == [40, 500]
    monkeypatch.setattr(analog, "SAMPLE_BYTES", 100 * 2 * 8000)
    assert [kept_samples(graph, solved, n) for n in (40, 500)] == [40, 100]
    monkeypatch.setattr(analog, "SAMPLE_BYTES", 1)
    assert [kept_samples(graph, solved, n) for n in (10, 500)] == [10, 16]
