"""The builder: names, narrow constants, and errors that name the source."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.errors import ArithmosError, RangeError, UnsupportedNetwork
from arithmos.ir.build import Builder
from arithmos.ir.graph import Source
from arithmos.ir.interval import Interval, signed

HERE = Source("layer1.conv", "model.py:12")


def integers(range: Interval = signed(8)) -> tuple[Builder, str]:
    b = Builder("int")
    return b, b.input("x", (-1, 3), range)


def test_names_get_the_first_free_number() -> None:
    b, x = integers()
    assert [b.add("add", x, x, name="y") for _ in range(3)] == ["y", "y.1", "y.2"]
    assert b.add("add", x, x) == "add"
    assert b.constant("", np.array(1)) == "value.1"


def test_constants_are_stored_in_their_narrowest_type() -> None:
    b, _ = integers()
    for array, dtype in ((np.array([1, 255]), "uint8"), (np.array([-1, 300]), "int16"), (np.array([True]), "uint8")):
        name = b.constant("c", array)
        assert b.constants[name].dtype == dtype
        assert b.values[name].range == Interval(int(array.min()), int(array.max()))


def test_float_constants_keep_their_type_and_have_no_range() -> None:
    b = Builder("float")
    name = b.constant("w", np.ones((2, 2), dtype=np.float32))
    assert b.constants[name].dtype == np.float32 and b.values[name].range is None


def test_shapes_that_do_not_fit() -> None:
    b, x = integers()
    with pytest.raises(UnsupportedNetwork) as caught:
        b.add("linear", x, b.constant("w", np.ones((2, 4), dtype=int)), name="fc", source=HERE)
    assert str(caught.value) == (
        "linear 'fc' does not fit its inputs\n"
        "  at   layer1.conv (model.py:12)\n"
        "  why  input (-1, 3) ends in (3,), weight (2, 4) takes (4,)\n"
        "  fix  check the shapes of the layers around this line"
    )


def test_a_range_beyond_int64() -> None:
    b, x = integers(signed(33))
    with pytest.raises(RangeError) as caught:
        b.add("mul", x, x, name="square", source=HERE)
        b.add("mul", "square", x, name="cube", source=HERE)
    assert str(caught.value) == (
        "square: values of 'mul' need 66 bits, int64 has 64\n"
        "  at   layer1.conv (model.py:12)\n"
        "  why  the proven range is [-18446744069414584320, 18446744073709551616]\n"
        "  fix  quantize the inputs of this node to fewer bits"
    )


def test_a_requantize_beyond_int64() -> None:
    b, x = integers(signed(50))
    with pytest.raises(RangeError) as caught:
        b.add("requantize", x, b.constant("m", np.array([1 << 23] * 3)), name="q", shift=24, lo=0, hi=1, source=HERE)
    assert str(caught.value) == (
        "q: requantize needs 74 bits, int64 has 64\n"
        "  at   layer1.conv (model.py:12)\n"
        "  why  the accumulator range [-562949953421312, 562949953421311] times a multiplier up to 8388608 "
        "is too wide\n"
        "  fix  use a multiplier of fewer bits: Recipe(multiplier_bits=16)"
    )


def test_an_unknown_op() -> None:
    b, x = integers()
    with pytest.raises(
        ArithmosError, match=r"^op 'softmax' is not one of the int ops\n  why  the int op set is closed: add, "
    ):
        b.add("softmax", x, axis=1)


@pytest.mark.parametrize(
    ("op", "attrs", "why"),
    [
        ("clip", {"lo": 0.0, "hi": None}, "attribute lo must be made of plain integers, got 0.0"),
        ("clip", {"lo": 0, "hi": np.int64(3)}, "attribute hi must be made of plain integers, got np.int64(3)"),
        ("reshape", {"shape": [-1, 3]}, "attribute shape must be made of plain integers, got [-1, 3]"),
        ("clip", {"lo": 0}, "missing 1 required keyword-only argument: 'hi'"),
        ("clip", {"lo": 0, "hi": 1, "step": 2}, "got an unexpected keyword argument 'step'"),
        ("clip", {"lo": 3, "hi": 1}, "clip to [3, 1] is empty"),
        ("transpose", {"perm": (0, 0)}, "(0, 0) is not an order of the 2 axes"),
        ("requantize", {"shift": 63, "lo": 0, "hi": 1}, "shift must be in 0..62, got 63"),
        ("requantize", {"shift": -1, "lo": 0, "hi": 1}, "shift must be in 0..62, got -1"),
        ("requantize", {"shift": 1, "lo": 2, "hi": 1}, "requantize to [2, 1] is empty"),
        ("argmax", {"axis": 0}, "axes (0,) must be axes of (-1, 3) other than the batch"),
        ("isqrt", {}, "isqrt takes non-negative integers, the range is [-128, 127] (clip it)"),
    ],
)
def test_attributes_that_make_no_sense(op: str, attrs: dict[str, object], why: str) -> None:
    b, x = integers()
    with pytest.raises(UnsupportedNetwork) as caught:
        b.add(op, x, **attrs)
    assert why in caught.value.why


def test_inputs_of_an_op_that_must_be_constant() -> None:
    b, x = integers()
    square = b.input("square", (3, 3), signed(8))
    for op, why in (("linear", "the weight must be a constant"), ("requantize", "the multiplier must be a constant")):
        attrs = {"shift": 1, "lo": 0, "hi": 1} if op == "requantize" else {}
        with pytest.raises(UnsupportedNetwork, match=why):
            b.add(op, x, square if op == "linear" else b.input("m", (3,), signed(8)), **attrs)


def test_a_value_without_a_range_in_an_integer_graph_proves_nothing() -> None:
    b, x = integers()
    b.values[x] = type(b.values[x])(x, (-1, 3))
    with pytest.raises(UnsupportedNetwork, match="'x' has no range in an integer graph"):
        b.add("add", x, x)
