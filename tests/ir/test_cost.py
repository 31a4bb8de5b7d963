"""Cost: multiplications, parameters and table entries, counted by hand."""

from __future__ import annotations

import numpy as np

import factories
from arithmos.ir.build import Builder
from arithmos.ir.cost import cost
from arithmos.ir.interval import signed


def test_conv_linear_and_matmul() -> None:
    graph = factories.residual_cnn()
    macs = {row.name: row.macs for row in cost(graph).nodes if row.macs}
    assert macs == {
        "stem.acc": 8 * 12 * 12 * 27,
        "block1.conv1.acc": 8 * 12 * 12 * 72,
        "block1.conv2.acc": 8 * 12 * 12 * 72,
        "block2.conv1.acc": 16 * 6 * 6 * 72,
        "block2.conv2.acc": 16 * 6 * 6 * 144,
        "logits": 10 * 16,
    }
    assert cost(graph).macs == sum(macs.values())


def test_grouped_convolution_and_products_of_activations() -> None:
    depthwise = next(r for r in cost(factories.convolutions()).nodes if r.name == "depthwise.acc")
    assert (depthwise.macs, depthwise.parameters, depthwise.elements) == (4 * 9 * 8 * 9, 36, 4 * 9 * 8)
    scores = next(r for r in cost(factories.attention()).nodes if r.name == "scores.acc")
    assert scores.macs == 2 * 5 * 5 * 4


def test_a_folded_batch_counts_for_the_sample_it_came_from() -> None:
    tile = next(r for r in cost(factories.folded_batch()).nodes if r.name == "tile.acc")
    assert tile.elements == 4 * 3 * 2 * 2 and tile.macs == tile.elements * 18


def test_a_shared_constant_counts_once_and_multipliers_do_not() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 3), signed(8))
    w, m = b.constant("w", np.eye(3, dtype=int)), b.constant("m", np.array([5, 6, 7]))
    once = b.add("requantize", b.add("linear", x, w), m, shift=2, lo=-128, hi=127)
    twice = b.add("linear", once, w)
    assert cost(b.graph(twice)).parameters == 9


def test_tables_and_widths() -> None:
    total = cost(factories.gelu_table())
    assert (total.table_entries, total.parameters, total.macs, total.widest_bits) == (256, 0, 0, 8)
    assert cost(factories.channel_tables()).table_entries == 48


def test_a_float_graph_has_no_widths() -> None:
    total = cost(factories.float_cnn(batch_norm=False))
    assert total.widest_bits == 0
    assert total.parameters == 8 * 27 + 8 + 2 * (8 * 72 + 8) + 10 * 8 + 10
