"""BLAS gives the interpreter's integers, and is not asked where it could round."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.evidence.product import EXACT, LENGTHS, exact
from arithmos.ir.ops import INT

CASES = [(op, i) for op in LENGTHS for i in range(len(INT[op].examples))]


@pytest.mark.parametrize(("op", "number"), CASES)
@pytest.mark.parametrize("bits", [7, 24, 30])
def test_every_example_of_the_op(op: str, number: int, bits: int) -> None:
    """7 bits: float64 holds every sum; 24 and 30: some sums, or none."""
    rng, example = np.random.default_rng(bits), INT[op].examples[number]
    shapes = (tuple(2 if extent == -1 else extent for extent in operand.shape) for operand in example.operands)
    arrays = [rng.integers(-(1 << bits), 1 << bits, shape) for shape in shapes]
    found = EXACT[op].run(*arrays, **example.attrs)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, INT[op].run(*arrays, **example.attrs))


def test_the_bound_is_the_last_integer_that_float64_counts_to() -> None:
    x, w = np.array([[1 << 26, -(1 << 26)]]), np.array([[(1 << 26) - 1, 0]])
    assert exact(x, w, None, 2) and exact(x, w, np.array([(1 << 27) - 1]), 2)
    assert not exact(x, w, np.array([-(1 << 27)]), 2)
    wide = np.array([[(1 << 53) + 1]])
    assert EXACT["linear"].run(wide, np.array([[1]])).item() == (1 << 53) + 1
