"""The first difference: in graph order, with its index, both numbers and the line of the user's model."""

from __future__ import annotations

import numpy as np

import factories
from arithmos.evidence.compare import Comparison, Difference, compare, in_corpus
from arithmos.ir.codec import random_inputs
from arithmos.ir.interpret import evaluate


def test_equal_runs() -> None:
    graph = factories.residual_cnn()
    values = evaluate(graph, random_inputs(graph, 2), every=True)
    assert compare(graph, values, values) == Comparison(23, sum(a.size for a in values.values()), 0, 0, None)


def test_the_first_in_graph_order_is_named_and_all_are_counted() -> None:
    graph = factories.residual_cnn()
    values = evaluate(graph, random_inputs(graph, 2), every=True)
    wrong = {name: array.copy() for name, array in reversed(values.items())}
    wrong["logits"][1, 3:5] += 1
    wrong["stem"][1, 7, 2, 0] -= 3
    found = compare(graph, values, wrong)
    expected = int(values["stem"][1, 7, 2, 0])
    assert found.first == Difference("stem", (1, 7, 2, 0), expected, expected - 3)
    assert (found.different_values, found.different_elements) == (2, 3)


def test_text() -> None:
    assert str(Difference("conv1", (0, 3, 1), 5, 6, "conv1 (model.py:41)")) == (
        "conv1[0, 3, 1]: expected 5, got 6, at conv1 (model.py:41)"
    )
    assert str(Difference("total", (), 5, -6)) == "total: expected 5, got -6"
    assert str(Difference("fc", (), (2, 10), (2, 9), "fc")) == "fc: expected the shape (2, 10), got (2, 9), at fc"


def test_other_shapes_differ_as_a_whole_and_types_do_not_matter() -> None:
    graph = factories.residual_cnn()
    values = evaluate(graph, random_inputs(graph, 2), every=True)
    narrow = {"logits": values["logits"].astype(np.int32)}
    assert compare(graph, values, narrow).first is None
    found = compare(graph, values, {"logits": values["logits"][:1]})
    assert found.first == Difference("logits", (), (2, 10), (1, 10), "head (model.py:41)")
    assert found.different_elements == 20


def test_the_index_is_counted_from_the_first_sample_of_the_corpus() -> None:
    graph = factories.folded_batch()
    assert in_corpus(graph, Difference("tiles", (5, 1, 0, 0), 1, 2), 10).index == (45, 1, 0, 0)
    assert in_corpus(graph, Difference("features", (1, 3), 1, 2), 10).index == (11, 3)


def test_floats_are_a_difference_however_equal_they_look() -> None:
    graph = factories.residual_cnn()
    values = evaluate(graph, random_inputs(graph, 2), every=True)
    found = compare(graph, values, {"logits": values["logits"].astype(np.float64)})
    assert str(found.first) == "logits: expected integers, got an array of float64, at head (model.py:41)"
    assert found.different_elements == 20
    assert compare(graph, values, {"logits": values["logits"] != 0}).different_values == 1
