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
from arithmos.targets.public_values import shown
from arithmos.targets.target import find, preflight
from arithmos.targets.zk import TARGET
from arithmos.targets.zk.circuit import constrain, planned
from arithmos.targets.zk.cost import admit_memory, cost
from arithmos.targets.zk.export import HIDDEN, stated
from arithmos.targets.zk.runner import prepare
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block
from factories import INTEGER
from random_operations import operations
from samples import INT_EXAMPLES, example_graph
from targets.zk.conftest import Written, image, network
from targets.zk.solver import constraints_of, solutions


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
    with pytest.raises(UsageError, match="what is public cannot be 'input'"):
        shown("input")
    with pytest.raises(UsageError, match="'input-hash' cannot be public"):
        shown("output,input-hash", HIDDEN)
    with pytest.raises(UsageError) as caught:
        shown("weights", HIDDEN)
    assert str(caught.value) == (
        "what is public cannot be 'weights'\n"
        "  why  a proof shows the output, and the input if you like; weights are constants, which the key fixes\n"
        "  fix  choose output, or input,output"
    )


def test_a_private_input_is_shown_to_be_in_its_range() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 5), signed(8))
    graph = b.graph(b.add("requantize", x, shift=1, lo=-64, hi=64, name="y"))
    hidden, open_ = planned(graph, ("output",)), planned(graph, ("input", "output"))
    assert hidden.n_constraints - open_.n_constraints == 5 * 8


@pytest.mark.parametrize(("given", "n_shown"), [("output y", 1), ("x", 2)])
def test_every_public_output_is_bound(given: str, n_shown: int) -> None:
    """Whatever the input is called, and as often as a value is shown: no public wire is left free."""
    b = Builder("int")
    x = b.input(given, (-1, 1), unsigned(2))
    y = b.add("mul", x, b.constant("five", np.array([5])), name="y")
    circuit, blocks = planned(b.graph(*[y] * n_shown)), list[Block]()
    constrain(circuit, blocks.append)
    found = list(solutions(constraints_of(blocks), {n_shown + 1: 3}, circuit.n_wires))
    assert [[solution[wire] for wire in range(1, n_shown + 2)] for solution in found] == [[15] * n_shown + [3]]


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


def test_products_too_wide_are_refused() -> None:
    """Entries of a table are summed up, and what saturates is multiplied by a factorial: both must stay an int64."""
    b = Builder("int")
    x, wide = b.input("x", (-1, 1), unsigned(8)), b.input("wide", (-1, 1), Interval(0, 1 << 60))
    entries = np.random.default_rng(0).integers(-(1 << 60), 1 << 60, 256)
    y = b.add("table", x, b.constant("entries", entries), offset=0, axis=None, name="y")
    z = b.add("clip", wide, lo=0, hi=(1 << 53) - 1, name="z")
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(b.graph(y, z), find("zk"))
    assert [line.strip() for line in caught.value.why.splitlines()] == [
        "y: its numbers need 70 bits, a gadget holds 62",
        "z: its numbers need 70 bits, a gadget holds 62",
    ]


def shifted(by: int, last: int) -> Graph:
    """((x << by) - (2**40 << by)) << last for an x of 2**40 .. 2**40 + 3: small numbers by large constants."""
    b = Builder("int")
    x = b.input("x", (-1, 1), Interval(1 << 40, (1 << 40) + 3))
    y = b.add("mul", x, b.constant("m", np.array(1 << by)), name="y")
    z = b.add("sub", y, b.constant("c", np.array(1 << (40 + by))), name="z")
    return b.graph(b.add("mul", z, b.constant("n", np.array(1 << last)), name="w"))


def test_constants_that_no_int64_holds_are_refused() -> None:
    """All values are below 2**45, but the constant of the last is -2**82; in 64 bits it would be 0."""
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(shifted(22, 20), find("zk"))
    assert [line.strip() for line in caught.value.why.splitlines()] == [
        "z: coefficients of its wires could reach 2**63, a circuit holds 2**62",
        "w: coefficients of its wires could reach 2**83, a circuit holds 2**62",
    ]
    preflight(allowed := shifted(18, 3), find("zk"))
    assert differences(allowed) == []


def test_a_gadgets_factor_and_an_inputs_domain_count() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1), Interval(1 << 40, (1 << 40) + 3))
    wide = b.input("wide", (-1, 1), Interval(0, 1 << 62))
    z = b.add("sub", b.add("mul", x, b.constant("m", np.array(1 << 19))), b.constant("c", np.array(1 << 59)), name="z")
    y = b.add("requantize", z, b.constant("n", np.array(1 << 8)), shift=20, lo=0, hi=999, name="y")
    with pytest.raises(UnsupportedNetwork) as caught:
        preflight(b.graph(y, b.add("sub", wide, b.constant("c2", np.array(1 << 61)), name="moved")), find("zk"))
    assert [line.strip() for line in caught.value.why.splitlines()] == [
        "y: coefficients of its wires could reach 2**68, a circuit holds 2**62",
        "moved: its input 'wide' needs 64 bits, a gadget holds 62",
    ]


def random_chain(seed: int) -> Graph:
    """Differences and products by constants of all sizes, of an input far from 0."""
    rng = np.random.default_rng(seed)
    b, lo = Builder("int"), int(rng.integers(0, 1 << 40))
    span = Interval(lo, lo + 5)
    last = b.input("x", (-1, 2), span)
    for i in range(8):
        number = int(rng.choice([-1, 1])) << int(rng.integers(0, 16))
        op, by = ("sub", Interval(span.lo, span.lo)) if rng.integers(2) else ("mul", Interval(number, number))
        made = span - by if op == "sub" else span * by
        if made.bits <= 62:
            last, span = b.add(op, last, b.constant(f"c{i}", np.array(by.lo))), made
    return b.graph(b.add("clip", last, lo=0, hi=9, name="y"))


def test_what_is_not_refused_has_exact_constants() -> None:
    refused = 0
    for seed in range(60):
        graph = random_chain(seed)
        if any(TARGET.refuse(graph, node) for node in graph.nodes):
            refused += 1
        else:
            assert differences(graph) == [], seed
    assert 10 <= refused <= 50


def test_the_statement_is_checked_too() -> None:
    """The network fits; the argmax over its logits and the pool taken before the rounding do not."""
    b = Builder("int")
    x = b.input("x", (-1, 1, 1, 2), signed(62))
    y = b.add("requantize", x, b.constant("m", np.array(0)), shift=1, lo=0, hi=7, name="y")
    b.add("max_pool", y, kernel=(1, 2), stride=(1, 2), padding=((0, 0), (0, 0)), name="pool")
    pooled = b.graph("pool")
    b = Builder("int")
    flat = b.input("x", (-1, 2), signed(62))
    scored = b.graph(b.add("reshape", flat, shape=(-1, 2), name="logits"))
    for graph, output, why in (
        (pooled, "values", "pool.accumulator: its numbers need 63 bits, a gadget holds 62"),
        (scored, "argmax", "logits.argmax: its numbers need 63 bits, a gadget holds 62"),
    ):
        preflight(graph, find("zk"))
        with pytest.raises(UnsupportedNetwork) as caught:
            stated(graph, "output", output)
        assert caught.value.why == why


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
    assert caught.value.what == "the proof needs about 22.9 MB, 10.0 MB are allowed"
