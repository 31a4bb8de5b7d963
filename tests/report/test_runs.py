"""Cells of a results file are read as they were written; the best, the lines and the front are those of the rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.report import runs
from report.swept import failure, regularized, row


@pytest.mark.parametrize(
    ("cell", "number", "text"),
    [
        (4, 4.0, "4"),
        ("4", 4.0, "4"),
        ("1.0", 1.0, "1"),
        (1.16, 1.16, "1.16"),
        (True, None, "True"),
        ("True", None, "True"),
        ("", None, ""),
        (None, None, ""),
        ("gpfq", None, "gpfq"),
        ("nan", None, "nan"),
    ],
)
def test_cells_mean_the_same_typed_and_as_texts(cell: object, number: float | None, text: str) -> None:
    assert runs.number({"x": cell}, "x") == number and runs.text({"x": cell}, "x") == text
    assert runs.number({}, "x") is None and runs.text({}, "x") == ""


def test_runs_that_differ_in_the_seed_alone_are_one() -> None:
    seeds = [row(Seed=s, Quantized_Top1_Accuracy=a) for s, a in ((0, 0.5), (1, 0.7))]
    other = row(Bits=2, Quantized_Top1_Accuracy=0.1)
    one, two = runs.averaged([*seeds, other])
    assert one[runs.TOP1] == pytest.approx(0.6) and one["Digest"] == seeds[0]["Digest"] and two is other


def test_the_best_is_the_most_accurate_then_the_one_with_the_least_error() -> None:
    same = {"Quantized_Top1_Accuracy": 0.9, "Quantized_Top5_Accuracy": 0.99}
    rows = [row(Quantized_Top1_Accuracy=0.8), *(row(**same, Mean_Layer_Error=e) for e in (0.3, 0.1, None))]
    assert runs.best(rows) is rows[2]


def test_lines_are_told_apart_by_what_varies_and_are_few() -> None:
    assert list(runs.lines([row(Bits=b) for b in (1, 2)])) == ["gpfq"]
    rows = [row(Method=m, Levels=v) for m in ("gpfq", "gptq") for v in ("published", "narrow")]
    assert list(runs.lines(rows))[:2] == ["gpfq, published levels", "gpfq, narrow levels"]
    many = [{**r, "Quantization Batch Size": n} for r in rows for n in (64, 128, 256)]
    assert list(runs.lines(many)) == list(runs.lines(rows))
    twice = [{**row(Method=m), "Stochastic Quantization": m == "spfq"} for m in ("gpfq", "spfq")]
    assert list(runs.lines(twice)) == ["gpfq", "spfq"]


def test_what_failed_is_not_finished() -> None:
    assert runs.finished([failure(), {**row(), runs.TOP1: ""}, row(Bits=7)]) == [row(Bits=7)]


def test_one_scalar_of_two_columns_is_told_once() -> None:
    scalars = [row(CNN_Alphabet_Scalar=s) for s in (1.0, 1.2)]
    assert runs.told_apart(scalars) == ["CNN_Alphabet_Scalar"]
    apart = [scalars[0], {**scalars[1], "MLP_Alphabet_Scalar": 9}]
    assert runs.told_apart(apart) == ["CNN_Alphabet_Scalar", "MLP_Alphabet_Scalar"]
    assert runs.told_apart(regularized()) == ["Regularizer", "Bits", "Lambda"]


def test_errors_of_layers_keep_names_with_an_equals_sign() -> None:
    cell = {"Layer Errors": "a=0.5;b[x=1]=0.25;broken;c=none"}
    assert runs.layer_errors(cell) == {"a": 0.5, "b[x=1]": 0.25}
    assert runs.layer_errors({}) == {}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_beats_the_front_and_the_front_beats_the_rest(points: list[tuple[int, int]]) -> None:
    kept = runs.front(points)
    for k, (cost, gain) in enumerate(points):
        reached = [c <= cost and g >= gain for c, g in (points[n] for n in kept if n != k)]
        assert any(reached) != (k in kept)
