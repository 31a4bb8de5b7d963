"""Graphs as text: the whole table and the whole flowchart of a small network are pinned."""

from __future__ import annotations

import numpy as np

import factories
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interval import signed, unsigned
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo
from arithmos.ir.show import as_mermaid, as_text, format_scale


def network() -> Graph:
    b = Builder("int")
    x = b.input("image", (-1, 2), unsigned(8), PowerOfTwo(-8))
    scale = PerChannel(-1, (Dyadic(3, 9), PowerOfTwo(-9)))
    acc = b.add(
        "linear",
        x,
        b.constant("w", np.array([[1, 2], [-3, 4]])),
        name="fc.acc",
        scale=scale,
        source=Source("fc", "net.py:7"),
    )
    y = b.add(
        "requantize", acc, shift=3, lo=-128, hi=127, name="fc", scale=Dyadic(5, 7), source=Source("fc", "net.py:7")
    )
    return b.graph(b.add("mul", y, y, name="square"))


def test_text() -> None:
    assert as_text(network()) == (
        "value   op          shape   range            bits  scale     MACs  source\n"
        "image   input       (N, 2)  [0, 255]         8     2^-8\n"
        "fc.acc  linear      (N, 2)  [-765, 1020]     11    2 scales  4     fc (net.py:7)\n"
        "fc      requantize  (N, 2)  [-96, 127]       8     5/2^7           fc (net.py:7)\n"
        "square  mul         (N, 2)  [-12192, 16129]  15\n"
        "3 nodes, 4 MACs, 4 parameters, 0 table entries, widest value 15 bits; outputs: square\n"
    )


def test_mermaid() -> None:
    assert as_mermaid(network()) == (
        "flowchart TD\n"
        '  n0(["image (N, 2)"])\n'
        '  n1["linear<br/>fc.acc<br/>(N, 2) [-765, 1020]"]\n'
        "  n0 --> n1\n"
        '  n2["requantize<br/>fc<br/>(N, 2) [-96, 127]"]\n'
        "  n1 --> n2\n"
        '  n3["mul<br/>square<br/>(N, 2) [-12192, 16129]"]\n'
        "  n2 --> n3\n"
    )


def test_every_factory_can_be_shown() -> None:
    for make in (*factories.INTEGER.values(), factories.float_cnn):
        graph = make()
        lines = as_text(graph).splitlines()
        assert len(lines) == 2 + len(graph.inputs) + len(graph.nodes)
        assert not any(line != line.rstrip() for line in lines)
        assert as_mermaid(graph).count("-->") == sum(
            len({i for i in n.inputs if i not in graph.constants}) for n in graph.nodes
        )


def test_scales() -> None:
    assert format_scale(None) == ""
    assert format_scale(PowerOfTwo(-3)) == "2^-3"
    assert format_scale(Dyadic(5, 9)) == "5/2^9"
    assert format_scale(PerChannel(-1, (PowerOfTwo(0),) * 16)) == "16 scales"


def test_signed_inputs_show_their_range() -> None:
    b = Builder("int")
    assert "[-128, 127]  8" in as_text(b.graph(b.input("x", (-1,), signed(8))))
