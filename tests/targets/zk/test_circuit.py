"""The circuit of every op and of random networks gives the interpreter's integers; no constraint is broken."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.ops import INT, OP_SETS
from arithmos.targets.target import find, preflight
from arithmos.targets.zk import TARGET
from arithmos.targets.zk.circuit import constrain, planned
from arithmos.targets.zk.cost import admit_memory, cost
from arithmos.targets.zk.export import shown
from arithmos.targets.zk.runner import prepare
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block
from factories import INTEGER
from random_operations import operations
from samples import INT_EXAMPLES, example_graph
from targets.zk.conftest import Written, image, network


def differences(graph: Graph) -> list[str]:
    """Values that differ, whole network and outputs alone."""
    inputs, found = random_inputs(graph, 2), []
    for every in (True, False):
        wanted, got = evaluate(graph, inputs, every=every), prepare(graph, every)(inputs)
        found += [name for name in wanted if not np.array_equal(wanted[name], got[name])]
    return found


@pytest.mark.parametrize(("op", "i"), INT_EXAMPLES)
def test_every_op(op: str, i: int) -> None:
    assert differences(example_graph(op, OP_SETS["int"][op].examples[i])) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", INTEGER)
def test_networks(name: str) -> None:
    assert differences(INTEGER[name]()) == []


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(i, i + 10) for i in range(0, 40, 10)], ids=str)
def test_random_networks(seeds: range) -> None:
    for seed in seeds:
        graph = operations(seed)
        if not any(TARGET.refuse(graph, node) for node in graph.nodes):
            assert differences(graph) == [], seed


def test_every_op_is_covered() -> None:
    assert set(TARGET.ops) == set(INT)


def test_the_plan_counts_what_is_made(written: Written) -> None:
    for public in (("output",), ("input", "output")):
        circuit = planned(statement(written.net), public)
        blocks: list[Block] = []
        constrain(circuit, blocks.append)
        assert sum(len(block.a) for block in blocks) == circuit.n_constraints
        made = sum(side.wires.size + np.count_nonzero(side.constant) for b in blocks for side in (b.a, b.b, b.c))
        assert made <= sum(count.nonzeros for count in circuit.counts.values())


def test_a_pool_is_taken_before_the_rounding_and_costs_less() -> None:
    graph = network()
    moved = statement(graph)
    assert [node.op for node in moved.nodes] == ["conv", "max_pool", "requantize", "reshape", "linear"]
    assert planned(moved).n_constraints < planned(graph).n_constraints
    inputs = random_inputs(graph, 5)
    wanted, got = evaluate(graph, inputs, every=True), evaluate(moved, inputs, every=True)
    assert all(np.array_equal(wanted[name], got[name]) for name in set(wanted) & set(got) | {"pool", "logits"})


def test_argmax_shows_the_index_alone() -> None:
    graph = network()
    answer = prepare(statement(graph, "argmax"), False)(image())
    assert answer["logits.argmax"].tolist() == evaluate(graph, image())["logits"].argmax(axis=1).tolist()
    with pytest.raises(UsageError) as caught:
        statement(graph, "top-5")
    assert str(caught.value) == (
        "there is no output 'top-5'\n"
        "  why  a proof shows the network's values or the index of the largest one\n"
        "  fix  choose values or argmax"
    )


def test_what_is_public_is_chosen_in_words() -> None:
    assert shown("output,input") == ("input", "output")
    with pytest.raises(UsageError) as caught:
        shown("weights")
    assert str(caught.value) == (
        "what is public cannot be 'weights'\n"
        "  why  a proof shows the output, the input, or both; weights are constants, which the key fixes\n"
        "  fix  choose output, or input,output"
    )


def test_a_private_input_is_shown_to_be_in_its_range() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 5), signed(8))
    graph = b.graph(b.add("requantize", x, shift=1, lo=-64, hi=64, name="y"))
    hidden, open_ = planned(graph, ("output",)), planned(graph, ("input", "output"))
    assert hidden.n_constraints - open_.n_constraints == 5 * 8


def test_numbers_too_wide_are_all_listed() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2), Interval(-(1 << 62), 1 << 62))
    y = b.add("clip", x, lo=0, hi=9, name="y")
    graph = b.graph(b.add("maximum", x, y, name="z"), b.add("maximum", y, y, name="fine"))
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(graph, find("zk"))
    assert str(caught.value) == (
        "target 'zk' cannot run 2 of 3 nodes\n"
        "  why  y: its numbers need 65 bits, a gadget holds 62\n"
        "       z: its numbers need 64 bits, a gadget holds 62\n"
        "  fix  choose another target, or quantize the network so that these nodes do not arise"
    )


def test_bounds_know_each_channel() -> None:
    """A channel of small weights costs fewer bits than one of large weights."""
    b = Builder("int")
    x = b.input("x", (-1, 4), unsigned(4))
    w = b.constant("w", np.array([[1, 1, 1, 1], [127, 127, 127, 127]]))
    graph = b.graph(b.add("clip", b.add("linear", x, w, name="acc"), lo=0, hi=63, name="y"))
    counts = planned(graph, ("input", "output")).counts["y", "requantize"]
    assert counts.constraints == 6 + (13 + 1 + 4)


def test_the_plan_and_its_refusal() -> None:
    plan = cost(network())
    assert plan.constraints == sum(row.constraints for row in plan.rows)
    assert plan.memory_bytes.least < plan.memory_bytes.expected < plan.memory_bytes.most
    admit_memory(plan, 1 << 30)
    with pytest.raises(UsageError) as caught:
        admit_memory(plan, 10_000_000)
    assert caught.value.what == "the proof needs about 22.9 MB, allowed are 10.0 MB"
