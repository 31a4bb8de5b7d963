"""Renaming: the same integers under other names."""

from __future__ import annotations

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.check import check
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval
from arithmos.passes.rename import rename


def network() -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 3), Interval(-9, 9))
    wide = b.add("mul", x, b.constant("m", np.array([2, 3, 4])), name="y.acc")
    return b.graph(wide, b.add("clip", wide, name="y", lo=0, hi=7))


def test_a_value_takes_a_name_and_its_bearer_another() -> None:
    before = network()
    after = rename(before, {"y.acc": "y"})
    check(after)
    assert after.outputs == ("y", "y.rounded")
    x = np.array([[-9, 1, 9]])
    old, new = evaluate(before, {"x": x}), evaluate(after, {"x": x})
    assert np.array_equal(old["y.acc"], new["y"]) and np.array_equal(old["y"], new["y.rounded"])


def test_inputs_keep_their_names() -> None:
    assert rename(network(), {"x": "z", "y": "x"}).outputs == ("y.acc", "y")
