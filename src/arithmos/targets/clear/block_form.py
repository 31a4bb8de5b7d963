"""A stage in the form in which float32 evaluates it fast and well: blocks of few powers under Clenshaw's recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

BLOCK = 4
"""Powers in a block. With 1 this is Clenshaw's recurrence, twice the work; with all powers Horner's rule in 2y^2 - 1,
which loses up to 7 bits where coefficients are large. With 4 float32 is off by 2^-21 B, at 1.2 times Horner's work."""

Polynomial = list[Fraction]
"""Coefficients of 1, V, V^2, …"""

StageShape = tuple[tuple[int, ...], tuple[int, ...]]

Blocks = tuple[tuple[float, ...], ...]
"""q(V) = sum_i B_i(V) S_i(Z): the coefficients of each B_i, up to BLOCK of them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """p(y) = even(V) + Y odd(V) with Y = 2y, V = Y^2 - 2, W = V^2 - 2, Z = W^2 - 2, each in [-2, 2].

    S_0 = 1, S_1 = Z, S_{i+1} = Z S_i - S_{i-1}. An empty tuple is a part that p has not.
    """

    even: Blocks
    odd: Blocks

    @property
    def shape(self) -> StageShape:
        """How many coefficients each block of the two parts has: all that the code of an evaluation depends on."""
        return tuple(map(len, self.even)), tuple(map(len, self.odd))

    @property
    def coefficients(self) -> list[float]:
        """All of them: even part first, blocks from first to last, low powers first."""
        return [c for part in (self.even, self.odd) for block in part for c in block]


def block_form(coefficients: np.ndarray, factor: Fraction) -> Stage:
    """The stage of factor * sum_k c_k T_k(y), converted in rational numbers and rounded once, at the end.

    T_2j(y) = C_j(V) / 2 and T_2j+1(y) = Y/2 W_j(V), both with R_{j+1} = V R_j - R_{j-1}: C_0 = 2, C_1 = V; W_0 = 1,
    W_1 = V - 1. Then division by the monic S_i, highest first.
    """
    exact = [Fraction(float(c)) * factor / 2 for c in coefficients]
    one, v = [Fraction(1)], [Fraction(0), Fraction(1)]
    even = _series(exact[0::2], [Fraction(2)], v)
    odd = _series(exact[1::2], one, _sum(v, one, Fraction(-1)))
    return Stage(_blocks(even), _blocks(odd))


def _series(coefficients: Sequence[Fraction], first: Polynomial, second: Polynomial) -> Polynomial:
    total: Polynomial = []
    for c in coefficients:
        total = _sum(total, first, c)
        first, second = second, _sum([Fraction(0), *second], first, Fraction(-1))
    while total and total[-1] == 0:
        total.pop()
    return total


def _sum(a: Polynomial, b: Polynomial, factor: Fraction) -> Polynomial:
    """a + factor b."""
    size = max(len(a), len(b))
    padded = [*a, *[Fraction(0)] * (size - len(a))], [*b, *[Fraction(0)] * (size - len(b))]
    return [x + factor * y for x, y in zip(*padded, strict=True)]


def _blocks(q: Polynomial) -> Blocks:
    if not q:
        return ()
    w = [Fraction(-2), Fraction(0), Fraction(1)]
    z = _sum(_product(w, w), [Fraction(1)], Fraction(-2))
    scale = [[Fraction(1)], z]
    while len(scale[-1]) < len(q):
        scale.append(_sum(_product(z, scale[-1]), scale[-2], Fraction(-1)))
    blocks = []
    for divisor in reversed(scale):
        quotient, q = _divided(q, divisor)
        blocks.append(tuple(map(float, quotient)))
    while not blocks[0]:
        blocks.pop(0)
    return tuple(reversed(blocks))


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    total = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            total[i + j] += x * y
    return total


def _divided(q: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """(quotient, remainder) of the division by a monic polynomial."""
    rest, quotient = list(q), list[Fraction]()
    while len(rest) >= len(divisor):
        top = rest.pop()
        quotient.insert(0, top)
        for i, d in enumerate(divisor[:-1]):
            rest[len(rest) - len(divisor) + 1 + i] -= top * d
    return quotient, rest
