"""Layout: nothing but positions changes; every op against numpy's own indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.graph import Shape
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed


def run(op: str, takes: Shape, x: np.ndarray, **attrs: Any) -> np.ndarray:
    b = Builder("int")
    graph = b.graph(b.add(op, b.input("x", takes, signed(16)), name="y", **attrs))
    y = evaluate(graph, {"x": x})["y"]
    inferred = graph.values["y"].shape
    assert len(inferred) == y.ndim and all(e < 0 or e == a for e, a in zip(inferred, y.shape, strict=True))
    return y


@given(st.integers(1, 6), st.integers(0, 5), st.integers(-5, 5).filter(bool), st.data())
def test_slice_is_start_plus_i_times_step(size: int, start: int, step: int, data: st.DataObject) -> None:
    start = min(start, size - 1)
    reachable = (size - 1 - start) // step + 1 if step > 0 else start // -step + 1
    count = data.draw(st.integers(1, reachable))
    x = np.arange(2 * size * 3).reshape(2, size, 3)
    y = run("slice", (-1, size, 3), x, slices=((1, start, step, count),))
    assert np.array_equal(y, x[:, [start + i * step for i in range(count)]])
    b = Builder("int")
    with pytest.raises(ArithmosError, match="leaves axis 1"):
        b.add("slice", b.input("x", (-1, size, 3), signed(8)), slices=((1, start, step, reachable + 1),))


@given(*[st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))] * 2, st.integers(-9, 9))
def test_pad_puts_fill_before_after_and_between(one: tuple[int, ...], two: tuple[int, ...], fill: int) -> None:
    x = np.arange(100, 100 + 2 * 3 * 4).reshape(2, 3, 4)
    y = run("pad", (-1, 3, 4), x, margins=((0, 0, 0), one, two), fill=fill)
    expected = np.full((2, 3 + one[0] + one[1] + 2 * one[2], 4 + two[0] + two[1] + 3 * two[2]), fill)
    for i in range(3):
        for j in range(4):
            expected[:, one[0] + i * (one[2] + 1), two[0] + j * (two[2] + 1)] = x[:, i, j]
    assert np.array_equal(y, expected)


def test_pad_of_nothing_keeps_the_range() -> None:
    b = Builder("int")
    x = b.input("x", (-1, 2), Interval(3, 5))
    assert b.values[b.add("pad", x, margins=((0, 0, 0), (0, 0, 0)), fill=-9)].range == Interval(3, 5)
    assert b.values[b.add("pad", x, margins=((0, 0, 0), (0, 0, 1)), fill=-9)].range == Interval(-9, 5)


@given(st.permutations(range(4)))
def test_transpose(perm: list[int]) -> None:
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert np.array_equal(run("transpose", (-1, 3, 4, 5), x, perm=tuple(perm)), np.transpose(x, perm))


@pytest.mark.parametrize(
    ("x", "shape", "result"),
    [
        ((-1, 6, 4), (-2, 3, 4), (4, 3, 4)),
        ((-2, 3), (-1, 2, 3), (2, 2, 3)),
        ((5, -1, 4), (5, -4), (5, 8)),
        ((-1, 12), (-1, 3, 1, 4), (2, 3, 1, 4)),
        ((2, 6), (3, 4), (3, 4)),
    ],
)
def test_reshape_may_fold_axes_into_the_batch(x: Shape, shape: Shape, result: tuple[int, ...]) -> None:
    array = np.arange(np.prod([-2 * e if e < 0 else e for e in x])).reshape([-2 * e if e < 0 else e for e in x])
    assert np.array_equal(run("reshape", x, array, shape=shape), array.reshape(result))


def test_concat_and_expand() -> None:
    b = Builder("int")
    one, two = b.input("one", (-1, 2, 2), Interval(0, 9)), b.input("two", (-1, 1, 2), Interval(-3, 1))
    joined = b.add("concat", one, two, axis=1, name="joined")
    graph = b.graph(joined, b.add("expand", two, one, name="spread"))
    assert graph.values["joined"].range == Interval(-3, 9) and graph.values["spread"].range == Interval(-3, 1)
    values = evaluate(graph, {"one": np.array([[[1, 2], [3, 4]]]), "two": np.array([[[-1, -2]]])})
    assert values["joined"].tolist() == [[[1, 2], [3, 4], [-1, -2]]]
    assert values["spread"].tolist() == [[[-1, -2], [-1, -2]]]


@pytest.mark.parametrize(
    ("op", "attrs", "why"),
    [
        ("reshape", {"shape": (-1, -3)}, "only one axis of (-1, -3) may hold the batch"),
        ("reshape", {"shape": (-1, 4)}, "(-1, 3) and (-1, 4) have different numbers of elements"),
        ("reshape", {"shape": (3,)}, "(-1, 3) and (3,) have different numbers of elements"),
        ("slice", {"slices": ((0, 0, 1, 1),)}, "axis 0 of (-1, 3) cannot be sliced"),
        ("slice", {"slices": ((1, 0, 0, 1),)}, "slice of axis 1 takes 1 elements with step 0"),
        ("slice", {"slices": ((1, 0, 1, 0),)}, "slice of axis 1 takes 0 elements with step 1"),
        ("pad", {"margins": ((0, 0, 0),), "fill": 0}, "pad needs one margin for each axis of (-1, 3)"),
        ("pad", {"margins": ((0, 0, 0), (-1, 0, 0)), "fill": 0}, "margins must not be negative (use slice)"),
        ("pad", {"margins": ((1, 0, 0), (0, 0, 0)), "fill": 0}, "the batch axis cannot be padded"),
        ("concat", {"axis": 0}, "concat along the batch is not an operation on one input"),
        ("concat", {"axis": 2}, "concat of ((-1, 3),) along axis 2"),
    ],
)
def test_layouts_that_make_no_sense(op: str, attrs: dict[str, Any], why: str) -> None:
    b = Builder("int")
    with pytest.raises(ArithmosError) as caught:
        b.add(op, b.input("x", (-1, 3), signed(4)), **attrs)
    assert caught.value.why == why


def test_concat_and_expand_of_shapes_that_do_not_fit() -> None:
    b = Builder("int")
    x, y = b.input("x", (-1, 3, 2), signed(4)), b.input("y", (-1, 3, 4), signed(4))
    with pytest.raises(ArithmosError, match="concat along axis 1: the other extents of"):
        b.add("concat", x, y, axis=1)
    with pytest.raises(ArithmosError, match="do not broadcast"):
        b.add("expand", x, y)
