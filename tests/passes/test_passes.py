"""Every pass on random networks: the same values, sound graphs, and a second application that finds nothing more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import factories
import samples
from arithmos.ir.check import check
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.passes.dead_code import dead_code
from arithmos.passes.equalize import equalize
from arithmos.passes.fold_batch_norm import fold_batch_norm
from arithmos.passes.fold_constants import fold_constants
from arithmos.passes.fold_padding import fold_padding
from arithmos.passes.fuse_requantize import fuse_requantize
from arithmos.passes.merge_tables import merge_tables
from random_networks import float_chain, integer_network

Pass = Callable[[Graph], Graph]
INTEGER_PASSES: list[Pass] = [dead_code, fold_constants, fuse_requantize, merge_tables, fold_padding]
FLOAT_PASSES: list[Pass] = [dead_code, fold_constants, fold_batch_norm, equalize, fuse_requantize, fold_padding]
seeds = st.integers(0, 10_000)


def same_integers(before: Graph, after: Graph) -> None:
    """Every value that both graphs name, and every output by position."""
    check(after)
    assert after.inputs == before.inputs and len(after.outputs) == len(before.outputs)
    for inputs in samples.all_inputs(before, 2):
        old, new = evaluate(before, inputs, every=True), evaluate(after, inputs, every=True)
        new |= {name: array for name, array in after.constants.items() if name in old}
        for name in set(old) & set(new):
            assert np.array_equal(np.broadcast_to(new[name], old[name].shape), old[name]), name
        for one, two in zip(before.outputs, after.outputs, strict=True):
            assert np.array_equal(np.broadcast_to(new[two], old[one].shape), old[one])


@pytest.mark.parametrize("run", INTEGER_PASSES)
@settings(max_examples=30)
@given(seeds)
def test_integers_do_not_change(run: Pass, seed: int) -> None:
    before = integer_network(seed)
    after = run(before)
    same_integers(before, after)
    assert len(after.nodes) <= len(before.nodes)


@settings(max_examples=20)
@given(seeds)
def test_all_integer_passes_in_a_row(seed: int) -> None:
    graph = before = integer_network(seed)
    for run in (*INTEGER_PASSES, *INTEGER_PASSES):
        graph = run(graph)
    same_integers(before, graph)


@pytest.mark.parametrize("run", INTEGER_PASSES)
@settings(max_examples=30)
@given(seeds)
def test_a_second_application_of_an_integer_pass_finds_nothing(run: Pass, seed: int) -> None:
    once = run(integer_network(seed))
    assert digest(run(once)) == digest(once)


@pytest.mark.parametrize("name", factories.INTEGER)
def test_the_factories_survive_all_passes(name: str) -> None:
    graph = before = factories.INTEGER[name]()
    for run in INTEGER_PASSES:
        graph = run(graph)
    same_integers(before, graph)


def close(before: Graph, after: Graph, x: np.ndarray) -> None:
    check(after)
    old, new = (evaluate(g, {"x": x}, dtype=np.float64) for g in (before, after))
    for one, two in zip(before.outputs, after.outputs, strict=True):
        assert np.abs(old[one] - new[two]).max() <= 1e-5 * max(1.0, float(np.abs(old[one]).max()))


def in_double(graph: Graph) -> Graph:
    """The same network with float64 constants, so that storing them rounds nothing a test could see."""
    constants = {name: array.astype(np.float64) for name, array in graph.constants.items()}
    return Graph(graph.op_set, graph.nodes, graph.values, constants, graph.inputs, graph.outputs)


@pytest.mark.parametrize("kind", ["conv", "linear"])
@pytest.mark.parametrize("run", FLOAT_PASSES)
@settings(max_examples=15)
@given(seeds)
def test_float_functions_do_not_change(run: Pass, kind: str, seed: int) -> None:
    before = in_double(float_chain(seed, kind))
    width = before.values["x"].shape[1:]
    close(before, run(before), np.random.default_rng(seed).normal(size=(3, *width)))


@pytest.mark.parametrize("kind", ["conv", "linear"])
@pytest.mark.parametrize("run", [dead_code, fold_constants, fold_batch_norm])
@settings(max_examples=15)
@given(seeds)
def test_a_second_application_of_a_float_pass_finds_nothing(run: Pass, kind: str, seed: int) -> None:
    once = run(float_chain(seed, kind))
    assert digest(run(once)) == digest(once)


def test_the_float_cnn_through_all_passes() -> None:
    graph = before = factories.float_cnn()
    for run in FLOAT_PASSES:
        graph = run(graph)
    close(before, graph, factories.images(4))
