"""The same polynomial on another interval: coefficients relative to the new bound, and relative to a product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from arithmos.approx.composite import Composite
from arithmos.lower.replacement import Replacement


def rebounded(replacement: Replacement, bound: float) -> Replacement:
    """The same function of u with |u| <= bound: p_1(t bound / B) for p_1(t), offset B / bound for offset.

    On a wider interval the polynomial is continued as it is, so that nothing is certified of it any more.
    """
    assert replacement.bound is not None
    factor, composite = bound / replacement.bound, replacement.composite
    first, *others = composite.stages
    offset = composite.offset / factor if replacement.form == "relu" else composite.offset
    return replace(replacement, composite=Composite((stretched(first, factor), *others), offset), bound=bound)


def in_value_form(replacement: Replacement) -> Replacement:
    """x (1 + p(x / B)) / 2 + c B as B q(x / B), q(t) = t / 2 + t p(t) / 2 + c, of one stage; others as they are.

    The same function to rounding, one degree higher and without the product: a level less unless d + 1 is a power of
    two, d the degree of p. From 13 to 14 it is 4 levels instead of 5.
    """
    composite, bound = replacement.composite, replacement.bound
    if replacement.form == "value" or len(composite.stages) > 1 or bound is None:
        return replacement
    series = np.polynomial.chebyshev.chebmulx(composite.stages[0]) / 2
    series = np.pad(series, (0, max(0, 2 - len(series))))
    series[0] += composite.offset
    series[1] += 0.5
    return Replacement(Composite((series,), error=composite.error), bound, "value", gain=bound)


def stretched(stage: np.ndarray, factor: float) -> np.ndarray:
    """The series of y -> p(factor * y), by interpolation at Chebyshev nodes; even and odd parts apart, so both stay."""
    found = np.zeros(len(stage))
    for parity in (0, 1):
        part = np.where(np.arange(len(stage)) % 2 == parity, stage, 0.0)
        if np.any(part):
            new = np.polynomial.chebyshev.chebinterpolate(
                lambda y, part=part: np.polynomial.chebyshev.chebval(factor * y, part), len(stage) - 1
            )
            found[parity::2] = new[parity::2]
    return found
