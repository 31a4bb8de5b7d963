"""Multipliers of one: dropped where nothing changes, kept where they change a shape or an integer."""

from __future__ import annotations

import numpy as np

import samples
from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import signed
from arithmos.passes.drop_units import drop_units


def test_units_are_dropped_and_nothing_else() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2, 3), signed(12))
    row = b.input("row", (-1, 1, 3), signed(12))
    one, two, wide = (b.constant("c", np.array(c)) for c in (1, [[1], [2]], [[1], [1]]))
    scaled = b.add("mul", x, one, name="scaled")
    shifted = b.add("requantize", scaled, one, shift=4, lo=-7, hi=7, name="shifted")
    ones = b.constant("ones", np.ones((2, 1), dtype=np.int64))
    clipped = b.add("requantize", shifted, ones, shift=0, lo=-3, hi=3, name="clipped")
    kept = b.add("requantize", x, two, shift=4, lo=-7, hi=7, name="kept")
    grown = b.add("mul", row, wide, name="grown")
    graph = b.graph(clipped, grown, kept)
    smaller = drop_units(graph)
    check(smaller)
    assert [(n.op, n.output) for n in smaller.nodes] == [
        ("requantize", "shifted"),
        ("clip", "clipped"),
        ("requantize", "kept"),
        ("mul", "grown"),
    ]
    assert [len(n.inputs) for n in smaller.nodes] == [1, 1, 2, 2]
    for inputs in samples.all_inputs(graph):
        before, after = evaluate(graph, inputs, every=True), evaluate(smaller, inputs, every=True)
        assert all(np.array_equal(before[name], after[name]) for name in after)
