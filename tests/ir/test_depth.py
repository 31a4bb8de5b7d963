"""Levels and multiplications of a network: the longest path, each polynomial's own."""

from __future__ import annotations

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.cost import cost
from arithmos.ir.depth import ActivationDepth, depth
from arithmos.ir.graph import Graph
from arithmos.ir.show import as_text


def net() -> Graph:
    """Two branches of one and two activations, joined: [7] and [3] on the longer one."""
    b = Builder("poly")
    x = b.input("x", (-1, 4))
    w = b.constant("w", np.eye(4, dtype=np.float32))
    long, short = b.constant("long", np.eye(8)[7]), b.constant("short", np.eye(4)[3])
    attrs = {"bound": 2.0, "form": "relu", "offset": 0.0, "gain": 1.0}
    a = b.add("polynomial", b.add("linear", x, w, name="a"), long, name="pa", **attrs)
    c = b.add("polynomial", b.add("linear", a, w, name="c"), short, name="pc", **attrs)
    return b.graph(b.add("add", c, b.add("mul", a, a, name="square"), name="y"))


def test_the_longest_path() -> None:
    found = depth(net())
    assert found.activations == (
        ActivationDepth("pa", (7,), 2.0, 4, 6, 4),
        ActivationDepth("pc", (3,), 2.0, 3, 3, 4),
    )
    assert (found.activation_levels, found.levels, found.multiplications) == (7, 9, 9)


def test_coefficients_are_no_parameters() -> None:
    assert cost(net()).parameters == 16


def test_how_it_is_shown() -> None:
    text = as_text(net())
    assert "polynomial [7]  (N, 4)  |x| <= 2" in text
    assert text.splitlines()[-1] == (
        "6 nodes, 32 MACs, 16 parameters, 2 polynomials of 9 multiplications, 9 levels deep, 7 of them in polynomials; "
        "outputs: y"
    )
