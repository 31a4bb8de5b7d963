"""The interval of a polynomial while running: what the message says, and which image it names."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from arithmos.errors import RangeError, RangeEscape
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate


def net(per_image: int = 1) -> Graph:
    b = Builder("poly")
    x = b.input("u", (-per_image, 2))
    c = b.constant("c", np.array([0.0, 1.0]))
    attrs = {"bound": 2.0, "form": "relu", "offset": 0.0, "gain": 1.0}
    return b.graph(b.add("polynomial", x, c, name="y", source=Source("layer1.relu", "net.py:7"), **attrs))


def test_the_whole_text() -> None:
    x = np.array([[1.0, -2.0], [0.0, 2.5], [-7.0, 0.0]])
    with pytest.raises(RangeEscape) as caught:
        evaluate(net(), {"u": x})
    assert str(caught.value) == (
        "'u' of image 1 is 2.5, outside [-2, 2]\n"
        "  at   layer1.relu (net.py:7)\n"
        "  why  its polynomial is made for this interval and grows without bound outside it\n"
        "  fix  approximate with a bound of at least 7.007 for this layer: a larger margin, B_relu or B_max"
    )
    error = caught.value
    assert (error.value_name, error.image, error.value, error.bound) == ("u", 1, 2.5, 2.0)
    assert isinstance(error, RangeError) and error.enough == pytest.approx(7.007)


def test_it_survives_a_worker_process() -> None:
    with pytest.raises(RangeEscape) as caught:
        evaluate(net(), {"u": np.array([[3.0, 0.0]])})
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.image == 0 and again.enough == caught.value.enough


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_outside(broken: float) -> None:
    with pytest.raises(RangeEscape) as caught:
        evaluate(net(), {"u": np.array([[0.0, 0.0], [0.0, broken]])})
    assert caught.value.image == 1 and caught.value.fix == (
        "give the layers before it larger bounds, or check the weights: the value is not finite"
    )


def test_several_rows_of_one_image() -> None:
    """An axis of twice the batch: rows 4 and 5 are image 2."""
    x = np.zeros((6, 2))
    x[5, 1] = -2.001
    with pytest.raises(RangeEscape) as caught:
        evaluate(net(2), {"u": x})
    assert caught.value.image == 2


def test_the_bound_itself_is_inside() -> None:
    assert evaluate(net(), {"u": np.array([[2.0, -2.0]])})["y"].tolist() == [[2.0, 0.0]]
