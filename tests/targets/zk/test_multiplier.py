"""The smaller multiplier gives the same integer for every x."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arithmos.targets.zk.multiplier import Multiplier, smallest


def rounded(m: Multiplier, x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    return np.clip((x * m.mul + m.offset) >> m.shift, lo, hi)


@given(
    st.integers(-(1 << 24), 1 << 24),
    st.integers(0, 30),
    st.integers(-300, 300),
    st.integers(0, 300),
    st.integers(-4000, 4000),
    st.integers(0, 4000),
)
def test_the_same_integers(mul: int, shift: int, lo: int, width: int, least: int, span: int) -> None:
    found = smallest(mul, shift, lo, lo + width, least, least + span)
    x = np.arange(least, least + span + 1)
    plain = Multiplier(mul, (1 << shift) >> 1, shift)
    assert (rounded(found, x, lo, lo + width) == rounded(plain, x, lo, lo + width)).all()
    assert found.shift <= shift


def test_how_much_smaller() -> None:
    found = smallest(12_345_678, 34, 0, 255, -70_000, 140_000)
    assert (found.mul.bit_length(), found.shift) == (18, 28)
    assert smallest(3 << 10, 20, -128, 127, -9999, 9999).shift <= 10
