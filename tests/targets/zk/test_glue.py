"""A whole circuit: one witness for each input, and a second one without any block of it, the glue between gadgets too.

The secret input is in 1 .. 5, the output is public: conv, rounding, max pool (taken first), linear.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval
from arithmos.targets.zk.circuit import constrain, planned
from arithmos.targets.zk.field import MODULUS
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block
from factories import conv
from targets.zk.solver import constraints_of, solutions

INPUTS = ((1, 5), (5, 5), (4, 2), (2, 1))
OUTPUT, FIRST = (1, 2), 3
"""Wires: 1, the two public outputs, the two pixels."""


def net() -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 1, 1, 2), Interval(1, 5))
    acc = conv(b, x, np.array([[[[3]]]]), np.array([2]), name="acc")
    y = b.add("requantize", acc, shift=1, lo=0, hi=15, name="relu")
    y = b.add("max_pool", y, kernel=(1, 2), stride=(1, 2), padding=((0, 0), (0, 0)), name="pool")
    flat = b.add("reshape", y, shape=(-1, 1), name="flat")
    return b.graph(b.add("linear", flat, b.constant("fc", np.array([[3], [-2]])), name="logits"))


def made() -> tuple[list[Block], int]:
    circuit, blocks = planned(statement(net())), list[Block]()
    constrain(circuit, blocks.append)
    return blocks, circuit.n_wires


def witnesses(blocks: list[Block], n_wires: int, given: tuple[int, ...]) -> list[dict[int, int | None]]:
    """At most two."""
    known = {FIRST + i: value for i, value in enumerate(given)}
    return list(islice(solutions(constraints_of(blocks), known, n_wires), 2))


BLOCKS = [(block.label.value, block.label.gadget) for block in made()[0]]


def test_the_intact_circuit_has_one_witness() -> None:
    blocks, n_wires = made()
    assert {("x", "domain"), ("flat", "wire"), ("logits", "output")} <= set(BLOCKS)
    assert {("pool", "requantize"), ("pool.accumulator", "maximum of rows")} <= set(BLOCKS)
    for given in INPUTS:
        (found,) = witnesses(blocks, n_wires, given)
        logits = evaluate(net(), {"x": np.array(given).reshape(1, 1, 1, 2)})["logits"].reshape(-1)
        assert None not in found.values()
        assert [found[wire] for wire in OUTPUT] == [int(logit) % MODULUS for logit in logits]
    for outside in ((0, 1), (1, 6), (-1, 3)):
        assert witnesses(blocks, n_wires, outside) == []


@pytest.mark.parametrize(
    "i", range(len(BLOCKS)), ids=[f"{i} {value}, {gadget}" for i, (value, gadget) in enumerate(BLOCKS)]
)
def test_without_any_block_there_is_a_second_witness(i: int) -> None:
    blocks, n_wires = made()
    rest = blocks[:i] + blocks[i + 1 :]
    found = [witnesses(rest, n_wires, given) for given in INPUTS]
    assert any(len(solutions) > 1 or None in solutions[0].values() for solutions in found)


@pytest.mark.parametrize("label", [("flat", "wire"), ("logits", "output")])
def test_without_the_glue_the_output_can_be_any(label: tuple[str, str]) -> None:
    blocks, n_wires = made()
    rest = [block for block, its in zip(blocks, BLOCKS, strict=True) if its != label]
    shown = [tuple(found[wire] for wire in OUTPUT) for found in witnesses(rest, n_wires, INPUTS[0])]
    assert len(set(shown)) > 1 or None in shown[0]


def test_without_the_domain_a_secret_input_can_be_outside() -> None:
    blocks, n_wires = made()
    rest = [block for block, label in zip(blocks, BLOCKS, strict=True) if label != ("x", "domain")]
    assert witnesses(rest, n_wires, (0, 3))
