"""The border: floats are rounded half up onto the grid, integers are range-checked, everything else is refused."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.ir.border import admit, batch_size, fits, format_shape, round_to_grid, to_integers, to_real
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, Scale


def network(range: Interval = unsigned(8), scale: Scale | None = PowerOfTwo(-4)) -> Graph:
    b = Builder("int")
    return b.graph(b.add("add", b.input("x", (-1, 2), range, scale), b.constant("c", np.array(1))))


@given(st.floats(-300, 300), st.floats(2**-10, 10))
def test_rounding_is_half_up_and_clips(x: float, step: float) -> None:
    exact = math.floor(Fraction(x / step) + Fraction(1, 2))
    grid = signed(8)
    assert round_to_grid(np.array(x), step, grid) == min(max(exact, grid.lo), grid.hi)


def test_ties_go_up() -> None:
    ties = np.array([-1.5, -0.5, 0.5, 1.5, 2.5]) / 16
    assert round_to_grid(ties, 2.0**-4, signed(8)).tolist() == [-1, 0, 1, 2, 3]


def test_floats_become_integers_of_the_grid_in_the_narrowest_type() -> None:
    admitted = admit(network(), {"x": np.array([[0.5, 100.0]], dtype=np.float32)})
    assert admitted["x"].tolist() == [[8, 255]] and admitted["x"].dtype == np.uint8


def test_what_is_beyond_float64_is_clipped_without_a_warning() -> None:
    for huge in (np.array([[1e308, -1e308]]), np.array([[1, -1]], np.longdouble) * np.longdouble("1e4000")):
        assert admit(network(), {"x": huge})["x"].tolist() == [[255, 0]]


def test_a_scale_for_each_channel() -> None:
    graph = network(signed(8), PerChannel(-1, (PowerOfTwo(-2), Dyadic(3, 0))))
    assert admit(graph, {"x": np.array([[1.0, 7.0]])})["x"].tolist() == [[4, 2]]


def test_integers_are_used_as_they_are() -> None:
    assert admit(network(), {"x": np.array([[3, 255]])})["x"].tolist() == [[3, 255]]
    assert admit(network(), {"x": np.array([[True, False]])})["x"].tolist() == [[1, 0]]


BAD = {
    "range": (np.array([[3, 256]]), "input 'x': holds integers in [3, 256], the network takes [0, 255]"),
    "shape": (np.zeros((1, 3)), "input 'x': has shape (1, 3), the network takes (N, 2)"),
    "rank": (np.zeros(2), "input 'x': has shape (2,), the network takes (N, 2)"),
    "no samples": (np.zeros((0, 2)), "input 'x': has shape (0, 2) and holds no sample, the network takes (N, 2)"),
    "nan": (np.array([[np.nan, np.inf]]), "input 'x': holds 2 values that are NaN or infinite"),
    "text": (np.array([["a", "b"]]), "input 'x': holds <U1, not numbers"),
    "complex": (np.array([[1j, 2]]), "input 'x': holds complex128, not numbers"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused(kind: str) -> None:
    array, why = BAD[kind]
    with pytest.raises(UsageError) as caught:
        admit(network(), {"x": array})
    assert caught.value.why == why


def test_floats_without_a_scale_are_refused() -> None:
    with pytest.raises(UsageError, match="holds floats, and the input has no scale to round them by; give integers"):
        admit(network(scale=None), {"x": np.zeros((1, 2))})


def test_all_problems_at_once() -> None:
    b = Builder("int")
    names = [b.input(n, (-1, 2), signed(4)) for n in ("a", "b", "c", "d")]
    graph = b.graph(b.add("add", names[0], names[1]))
    with pytest.raises(UsageError) as caught:
        admit(graph, {"a": np.ones((1, 2), int), "b": np.ones((2, 2), int), "c": np.full((1, 2), 8), "e": np.ones(1)})
    assert str(caught.value) == (
        "the network cannot take these inputs\n"
        "  why  input 'd' is missing\n"
        "       'e' is not an input (they are a, b, c, d)\n"
        "       input 'c': holds integers in [8, 8], the network takes [-8, 7]\n"
        "       the inputs have different batch sizes: {'a': 1, 'b': 2}\n"
        "  fix  give arrays of the shapes and ranges that `arithmos show` prints"
    )


def test_a_float_graph_takes_any_finite_numbers() -> None:
    b = Builder("float")
    graph = b.graph(b.add("relu", b.input("x", (-1, 2))))
    x = np.array([[1e30, -5]])
    assert admit(graph, {"x": x})["x"] is x
    with pytest.raises(UsageError, match="holds 1 values that are NaN or infinite"):
        admit(graph, {"x": np.array([[1.0, np.nan]])})


def scaled() -> Graph:
    b = Builder("int")
    x = b.input("x", (-1, 2), signed(8), PerChannel(-1, (PowerOfTwo(-2), Dyadic(3, 1))))
    doubled = b.add("add", x, x, name="doubled", scale=Dyadic(3, 2))
    return b.graph(doubled, b.add("argmax", doubled, axis=1, name="class"))


def test_real_numbers_become_integers_and_integers_real_numbers() -> None:
    graph, x = scaled(), np.array([[0.75, -3.0], [1.1, 600.0]])
    for form in (x, (x,), {"x": x}, x.tolist()):
        integers = to_integers(graph, form)
        assert integers["x"].tolist() == [[3, -2], [4, 127]] and integers["x"].dtype == np.int8
    real = to_real(graph, {**integers, "doubled": np.array([[6, -4]]), "class": [1, 0]})
    assert real["x"].tolist() == [[0.75, -3.0], [1.0, 190.5]] and real["x"].dtype == np.float64
    assert real["doubled"].tolist() == [[4.5, -3.0]]
    assert real["class"].tolist() == [1, 0] and real["class"].dtype.kind == "i"  # they stand for themselves


def test_what_has_no_real_numbers_and_no_integers() -> None:
    with pytest.raises(UsageError) as caught:
        to_real(scaled(), {"logits": np.zeros(1)})
    assert str(caught.value) == (
        "the network has no value 'logits'\n"
        "  why  its outputs are doubled, class\n"
        "  fix  name values as `arithmos show` prints them"
    )
    b = Builder("float")
    with pytest.raises(UsageError, match="a float graph has no grids"):
        to_integers(b.graph(b.add("relu", b.input("x", (-1, 2)))), np.zeros((1, 2)))


def test_shapes_with_a_batch() -> None:
    assert (
        fits((-2, 3), (4, 3)) and not fits((-2, 3), (5, 3)) and not fits((-1, 3), (0, 3)) and not fits((2, 3), (4, 3))
    )
    assert (batch_size((-2, 3), (4, 3)), batch_size((3, -1), (3, 7)), batch_size((3,), (3,))) == (2, 7, None)
    assert [format_shape(s) for s in ((-1, 3, 32), (-4, 2), (5,), ())] == ["(N, 3, 32)", "(4N, 2)", "(5,)", "()"]
