"""Multipliers: real factors as integers over one power of two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from arithmos.errors import RangeError
from arithmos.quant.grid import round_half_up

SHIFTS = {24: (0, 8, 16, 24, 32, 40)}
"""bits -> shifts to choose from. 24-bit multipliers use shifts that range checks of 8 bits divide; any other width uses
every shift, because it has no precision to give away."""

WIDEST_SHIFT = 62
"""The largest shift a requantize has."""


def multipliers(ratios: Sequence[np.ndarray], bits: int = 24, least: int = 1) -> tuple[list[np.ndarray], int]:
    """M = floor(r * 2**shift + 1/2) for every ratio, |M| < 2**bits, with one common shift. Returns (Ms, shift).

    If every ratio is a power of two (or zero), M and shift are exact and the smallest possible: 2**-k alone gives
    M = 1 and shift k. Otherwise shift is the largest of 24, 16, 8, 0 that fits; 32 or 40 only where the largest M would
    stay below `least` at 24. For bits other than 24 it is the largest up to 40. Source: Jacob et al., arXiv 1712.05877,
    section 2.2, with the shift restricted and ties towards +inf. Raises RangeError if 2**bits is too small.
    """
    flat = np.concatenate([np.asarray(r, dtype=np.float64).ravel() for r in ratios])
    largest = float(np.abs(flat).max(initial=0))
    exact = exact_shift(flat)
    if exact is not None and exact <= WIDEST_SHIFT and largest * 2.0**exact < 2.0**bits:
        return [round_half_up(np.asarray(r) * 2.0**exact) for r in ratios], exact
    fitting = [s for s in SHIFTS.get(bits, range(41)) if math.floor(largest * 2.0**s + 0.5) < 1 << bits]
    if fitting:
        usual = [s for s in fitting if bits != 24 or s <= 24 or 0.5 <= largest * 2.0**s < least * 256]
        return [round_half_up(np.asarray(r) * 2.0 ** usual[-1]) for r in ratios], usual[-1]
    raise RangeError(
        f"a multiplier of {largest:.6g} does not fit {bits} bits",
        why="the scale of the input is that many times the scale of the output",
        fix="allow more multiplier bits: Recipe(multiplier_bits=...), or give the output value more activation bits",
    )


def exact_shift(ratios: np.ndarray) -> int | None:
    """The least shift >= 0 that makes every ratio an integer, if all are powers of two up to sign (or 0); else None."""
    mantissas, exponents = np.frexp(ratios[ratios != 0])
    if not np.all(np.abs(mantissas) == 0.5):
        return None
    return max(0, -int(exponents.min() - 1)) if exponents.size else 0
