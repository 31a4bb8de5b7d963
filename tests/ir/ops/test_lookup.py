"""Tables and gather: entries by number, ranges of the part that can be reached, domains that must cover the input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, interval_of, signed


@given(st.integers(-40, 40), st.integers(0, 30), st.integers(0, 5), st.integers(0, 5))
def test_a_shared_table(lo: int, span: int, before: int, after: int) -> None:
    entries = np.random.default_rng(0).integers(-500, 500, before + span + 1 + after)
    b = Builder("int")
    x = b.input("x", (span + 1,), Interval(lo, lo + span))
    graph = b.graph(b.add("table", x, b.constant("t", entries), offset=lo - before, axis=None, name="y"))
    y = evaluate(graph, {"x": np.arange(lo, lo + span + 1)})["y"]
    assert y.tolist() == entries[before : before + span + 1].tolist()
    assert graph.values["y"].range == interval_of(y)  # only what the input reaches counts


@pytest.mark.parametrize("axis", [1, 2])
def test_a_table_for_each_channel(axis: int) -> None:
    x = np.random.default_rng(1).integers(-2, 3, (2, 3, 3))
    entries = np.arange(15).reshape(3, 5) * 7
    b = Builder("int")
    name = b.input("x", (-1, 3, 3), Interval(-2, 2))
    graph = b.graph(b.add("table", name, b.constant("t", entries), offset=-2, axis=axis, name="y"))
    y = evaluate(graph, {"x": x})["y"]
    for index in np.ndindex(*x.shape):
        assert y[index] == entries[index[axis], x[index] + 2]


def test_gather_takes_rows() -> None:
    matrix = np.arange(24).reshape(4, 3, 2)
    b = Builder("int")
    graph = b.graph(b.add("gather", b.constant("m", matrix), b.input("i", (-1, 2), Interval(0, 3)), name="y"))
    assert graph.values["y"].shape == (-1, 2, 3, 2)
    assert np.array_equal(evaluate(graph, {"i": np.array([[3, 0]])})["y"], matrix[[[3, 0]]])


@pytest.mark.parametrize(
    ("range", "entries", "offset", "axis", "why"),
    [
        (signed(4), (15,), -8, None, "the input range [-8, 7] leaves the domain [-8, 6] of the table (clip it)"),
        (signed(4), (16,), -7, None, "the input range [-8, 7] leaves the domain [-7, 8] of the table (clip it)"),
        (signed(4), (3, 16), -8, None, "a shared table has one axis, got (3, 16)"),
        (signed(4), (2, 16), -8, 1, "3 channels need as many tables, got (2, 16)"),
        (signed(4), (3, 16), -8, 0, "axis 0 is not an axis of (-1, 3) with its own tables"),
    ],
)
def test_tables_that_do_not_fit(
    range: Interval, entries: tuple[int, ...], offset: int, axis: int | None, why: str
) -> None:
    b = Builder("int")
    x, t = b.input("x", (-1, 3), range), b.constant("t", np.zeros(entries, int))
    with pytest.raises(ArithmosError) as caught:
        b.add("table", x, t, offset=offset, axis=axis)
    assert caught.value.why == why


def test_a_table_must_be_constant_and_indices_must_be_rows() -> None:
    b = Builder("int")
    x, t = b.input("x", (-1, 3), Interval(0, 3)), b.input("t", (4,), signed(4))
    with pytest.raises(ArithmosError, match="the entries of a table must be constant"):
        b.add("table", x, t, offset=0, axis=None)
    with pytest.raises(ArithmosError, match=r"the index range \[0, 3\] leaves the 3 rows"):
        b.add("gather", b.constant("m", np.zeros((3, 2), int)), x)
    with pytest.raises(ArithmosError, match=r"gather takes rows of a constant, got \(-1, 3\)"):
        b.add("gather", x, x)
