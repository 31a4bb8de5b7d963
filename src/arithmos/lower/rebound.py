"""The same polynomial on another interval: coefficients relative to the new bound, and relative to a product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.polynomial import chebyshev

from arithmos.approx.composite import Composite
from arithmos.ir.ops.polynomial import levels
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
    series = chebyshev.chebmulx(composite.stages[0]) / 2
    series = np.pad(series, (0, max(0, 2 - len(series))))
    series[0] += composite.offset
    series[1] += 0.5
    return Replacement(Composite((series,), error=composite.error), bound, "value", gain=bound)


def in_fewest_levels(replacement: Replacement) -> Replacement:
    """The value form where it takes fewer levels than the relu form; of degree 29 (then 30) 5 instead of 6."""
    other = in_value_form(replacement)
    before = levels(replacement.composite.degrees) + (replacement.form == "relu")
    return other if levels(other.composite.degrees) < before else replacement


def stretched(stage: np.ndarray, factor: float) -> np.ndarray:
    """The series of y -> p(factor * y), by interpolation at Chebyshev nodes; even and odd parts apart, so both stay."""
    n = len(stage)
    nodes = chebyshev.chebpts1(n)
    # Discrete orthogonality: the sum over all nodes of T_i T_j is n / 2 for i = j > 0, n for i = j = 0, else 0.
    project = chebyshev.chebvander(nodes, n - 1).T * (2 / n)
    project[0] /= 2
    found, parity = np.zeros(n), np.arange(n) % 2
    for kind in (0, 1):
        part = np.where(parity == kind, stage, 0.0)
        found[kind::2] = (project @ chebyshev.chebval(factor * nodes, part))[kind::2]
    return found
