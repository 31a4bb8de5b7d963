"""Auxiliary values satisfy their identities and bounds, for every op that has some, on random inputs and corners."""

from __future__ import annotations

import numpy as np
import pytest

import factories
import samples
from arithmos.errors import RangeError
from arithmos.evidence.witness import WITNESS, auxiliaries, chunked, n_chunks, witness
from arithmos.ir.border import fits
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import interpret
from arithmos.ir.interval import Interval, interval_of, signed
from arithmos.ir.ops import INT

EXAMPLES = [(op, number) for op, number in samples.INT_EXAMPLES if op in WITNESS]


def assert_identities(graph: Graph, values: dict[str, np.ndarray]) -> None:
    for node in graph.nodes:
        y, at = values[node.output], node.attrs
        x, *rest = (values[n] if n in values else graph.constants[n].astype(np.int64) for n in node.inputs)
        aux = {a.name.rpartition(":")[2]: values[a.name] for a in auxiliaries(graph, node)}
        if node.op == "requantize":
            t = x * (rest[0] if rest else 1) + (1 << at["shift"]) // 2
            np.testing.assert_array_equal(aux["t"], t)
            np.testing.assert_array_equal(aux["q"] * (1 << at["shift"]) + aux["rem"], t)
            np.testing.assert_array_equal(aux["negative"], t < 0)
            np.testing.assert_array_equal(
                y, np.where(aux["clamp"] == 0, aux["q"], np.where(aux["clamp"] < 0, at["lo"], at["hi"]))
            )
        elif node.op == "clip":
            sides = np.where(aux["clamp"] < 0, -np.inf if at["lo"] is None else at["lo"], at["hi"] or 0)
            np.testing.assert_array_equal(y, np.where(aux["clamp"] == 0, x, sides))
        elif node.op == "maximum":
            np.testing.assert_array_equal(y, np.where(aux["second"] == 1, rest[0], x))
            np.testing.assert_array_equal(aux["difference"], 2 * y - x - rest[0])
        elif node.op == "max_pool":
            assert (aux["difference"] >= 0).all()
            np.testing.assert_array_equal(np.take_along_axis(aux["difference"], aux["argmax"][..., None], -1), 0)
        elif node.op == "reduce_max":
            kept = y if at["keepdims"] else np.expand_dims(y, at["axes"])
            np.testing.assert_array_equal(kept - aux["difference"], x)
            assert (aux["difference"] >= 0).all()
        elif node.op == "argmax":
            chosen = np.take_along_axis(aux["difference"], np.expand_dims(y, at["axis"]), at["axis"])
            np.testing.assert_array_equal(chosen, 0)
            np.testing.assert_array_equal(np.expand_dims(aux["maximum"], at["axis"]) - aux["difference"], x)
        elif node.op == "shift_right":
            assert (aux["rem"] >= 0).all()
            assert (aux["rem"] < 1 << rest[0]).all()
            np.testing.assert_array_equal(y * (1 << rest[0]) + aux["rem"], x)
        elif node.op == "floor_div":
            assert (aux["rem"] < rest[0]).all()
            np.testing.assert_array_equal(y * rest[0] + aux["rem"], x)
        elif node.op == "isqrt":
            assert (aux["rem"] <= 2 * y).all()
            np.testing.assert_array_equal(y * y + aux["rem"], x)


@pytest.mark.parametrize(("op", "number"), EXAMPLES)
def test_every_example(op: str, number: int) -> None:
    graph = samples.example_graph(op, INT[op].examples[number])
    for inputs in samples.all_inputs(graph):
        values = dict(witness(graph, interpret(graph, inputs)))
        for a in auxiliaries(graph, graph.nodes[0]):
            assert fits(a.shape, values[a.name].shape)
            assert interval_of(values[a.name]) in a.range
        assert_identities(graph, values)


@pytest.mark.parametrize("name", ["residual_cnn", "integer_softmax", "integer_layer_norm", "pools", "inception"])
def test_networks(name: str) -> None:
    graph = factories.INTEGER[name]()
    for inputs in samples.all_inputs(graph, 2):
        names = [n for n, _ in interpret(graph, inputs)]
        values = dict(witness(graph, interpret(graph, inputs)))
        assert [n for n in values if ":" not in n] == names
        assert_identities(graph, values)


def test_max_pool_names_the_first_maximum_and_never_the_padding() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 1, 3, 3), Interval(-9, 9))
    window = {"kernel": (2, 2), "stride": (1, 1), "padding": ((1, 0), (1, 0))}
    graph = b.graph(b.add("max_pool", x, name="y", **window))
    image = np.array([[[[-9, -9, -9], [-9, 5, 5], [-9, 5, 7]]]])
    values = dict(witness(graph, interpret(graph, {"x": image})))
    np.testing.assert_array_equal(values["y:argmax"][0, 0], [[3, 2, 2], [1, 3, 2], [1, 1, 3]])
    np.testing.assert_array_equal(values["y:difference"][0, 0, 0], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(values["y:difference"][0, 0, 2], [[0, 0, 0, 0], [14, 0, 14, 0], [2, 2, 2, 0]])


def test_reduce_max_counts_over_all_reduced_axes() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2, 2, 3), Interval(-9, 9))
    graph = b.graph(b.add("reduce_max", x, axes=(3, 1), keepdims=False, name="y"))
    image = np.arange(12).reshape(1, 2, 2, 3) % 10 - 5
    values = dict(witness(graph, interpret(graph, {"x": image})))
    np.testing.assert_array_equal(values["y"], [[3, 4]])
    np.testing.assert_array_equal(values["y:argmax"], [[5, 3]])


@pytest.mark.parametrize("bits", [1, 8, 14])
@pytest.mark.parametrize("interval", [Interval(0, 0), Interval(-5, 250), Interval(-(1 << 62), 1 << 62), signed(64)])
def test_chunks_add_up(bits: int, interval: Interval) -> None:
    numbers = [interval.lo, (interval.lo + interval.hi) // 2, interval.hi]
    pieces = chunked(np.array(numbers), interval, bits)
    assert pieces.shape == (3, n_chunks(interval, bits))
    assert ((pieces >= 0) & (pieces < 1 << bits)).all()
    sums = [interval.lo + sum(int(c) << (bits * k) for k, c in enumerate(row)) for row in pieces]
    assert sums == numbers


def test_chunks_stand_behind_what_they_are_cut_from() -> None:
    graph = factories.residual_cnn()
    (inputs, *_) = samples.all_inputs(graph, 2)
    plain = dict(witness(graph, interpret(graph, inputs)))
    with_chunks = dict(witness(graph, interpret(graph, inputs), chunks=8))
    listed = [a for node in graph.nodes for a in auxiliaries(graph, node, chunks=8)]
    assert [a.name for a in listed] == [name for name in with_chunks if ":" in name]
    cut = {name.removesuffix(".chunks") for name in with_chunks if name.endswith(".chunks")}
    assert cut == {name for name in plain if name.endswith((":q", ":rem", ":difference"))}
    assert all(interval_of(with_chunks[a.name]) in a.range for a in listed)


def test_a_witness_that_no_int64_holds_is_refused() -> None:
    b = Builder("int")
    wide = Interval(-(1 << 62), 1 << 62)
    graph = b.graph(
        b.add("maximum", b.input("x", (-1,), wide), b.input("z", (-1,), wide), name="y", source=Source("m"))
    )
    with pytest.raises(RangeError) as error:
        auxiliaries(graph, graph.nodes[0])
    assert str(error.value) == (
        "the witness 'y:difference' needs 65 bits, int64 has 64\n  at   m\n"
        "  why  its proven range is [0, 9223372036854775808]\n"
        "  fix  dump without the witness, or quantize to fewer bits"
    )


def test_clamp_flags_of_a_range_that_lies_outside() -> None:
    b = Builder("int")
    graph = b.graph(b.add("requantize", b.input("x", (-1,), Interval(-9, 9)), shift=1, lo=20, hi=30, name="y"))
    (clamp,) = [a for a in auxiliaries(graph, graph.nodes[0]) if a.name == "y:clamp"]
    assert clamp.range == Interval(-1, -1)
