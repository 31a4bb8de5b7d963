"""Tables of functions: nearest entries against float64, ties decided exactly, undefined inputs named."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from arithmos.approx.tables import FUNCTIONS, entries
from arithmos.errors import RangeError
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.ops.function import ATTRS
from arithmos.ir.ops.function import FUNCTIONS as FLOAT

POSITIVE_ONLY = {"log", "sqrt", "rsqrt", "reciprocal"}


def test_every_float_function_has_a_table() -> None:
    assert set(FUNCTIONS) == set(FLOAT)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("step", [2.0**-4, 0.043])
def test_entries_are_the_nearest_integers(name: str, step: float) -> None:
    x_range, y_step, y_range = (Interval(1, 100) if name in POSITIVE_ONLY else signed(7)), 0.0123, signed(16)
    for attrs in (ATTRS.get(name, {}), *([{"approximate": "tanh"}] if name == "gelu" else [])):
        table = entries(name, step, x_range, y_step, y_range, **attrs)
        x = np.arange(x_range.lo, x_range.hi + 1) * step
        real = np.clip(FLOAT[name](x, **attrs) / y_step, y_range.lo, y_range.hi)
        assert table.dtype == np.int64 and table.shape == x.shape
        assert np.abs(table - real).max() <= 0.5 + 1e-9


def test_ties_go_up_and_are_decided_exactly() -> None:
    table = entries("abs", 0.5, Interval(-5, 5), 1.0, signed(8))
    assert table.tolist() == [3, 2, 2, 1, 1, 0, 1, 1, 2, 2, 3]
    third = float(Fraction(1, 3))  # 3 * float(1/3) / 2 is just below a tie, in exact rationals
    assert entries("relu", third, Interval(3, 3), 2.0, signed(8)).tolist() == [0]
    assert entries("relu", np.nextafter(third, 1), Interval(3, 3), 2.0, signed(8)).tolist() == [1]


def test_entries_are_clipped_and_far_inputs_do_not_overflow() -> None:
    assert entries("exp", 100.0, Interval(-3, 3), 1.0, unsigned(8)).tolist() == [0, 0, 0, 1, 255, 255, 255]
    assert entries("sigmoid", 1e6, Interval(-1, 1), 2.0**-8, unsigned(8)).tolist() == [0, 128, 255]
    assert entries("softplus", 1e5, Interval(-1, 1), 1.0, signed(8), beta=1.0, threshold=20.0).tolist() == [0, 1, 127]


def test_the_same_table_whatever_precision_the_caller_works_in() -> None:
    expected = entries("gelu", 0.031, signed(8), 0.029, signed(8), approximate="none")
    with mpmath.workdps(5):
        assert np.array_equal(entries("gelu", 0.031, signed(8), 0.029, signed(8), approximate="none"), expected)
        assert mpmath.mp.dps == 5


@pytest.mark.parametrize(
    ("name", "attrs", "n", "first", "last"),
    [
        ("log", {}, 9, -8, 0),
        ("sqrt", {}, 8, -8, -1),
        ("rsqrt", {}, 9, -8, 0),
        ("reciprocal", {}, 1, 0, 0),
        ("pow", {"exponent": 0.5}, 8, -8, -1),
        ("pow", {"exponent": -1.0}, 1, 0, 0),
    ],
)
def test_undefined_inputs_are_named(name: str, attrs: dict[str, float], n: int, first: int, last: int) -> None:
    with pytest.raises(RangeError) as caught:
        entries(name, 0.25, signed(4), 1.0, signed(8), **attrs)
    assert str(caught.value) == (
        f"'{name}' has no value for {n} of the 16 inputs of its table\n"
        f"  why  they are 0.25 * k for k from {first} to {last}\n"
        "  fix  clamp the argument in the network to where the function is defined, for instance x.clamp(min=1e-3)"
    )


def test_powers_of_negative_numbers_are_real_for_whole_exponents() -> None:
    assert entries("pow", 1.0, Interval(-2, 2), 1.0, signed(8), exponent=3.0).tolist() == [-8, -1, 0, 1, 8]
