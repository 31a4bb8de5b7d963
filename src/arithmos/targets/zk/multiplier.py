"""The smallest multiplier that rounds to the same integers: fewer bits in a circuit, no integer changed.

floor((x * mul + half) / 2**shift), clipped to lo .. hi, is a staircase on the proven integers x: it reaches k at
theta_k = ceil((k * 2**shift - half) / mul). Another (m, offset, n) has the same steps if and only if for each k

    m * theta_k + offset >= k * 2**n > m * (theta_k - 1) + offset,

and it does not leave the staircase's ends, which are two more such conditions where nothing is clipped. For a given n
and m these are bounds on the offset alone. The search takes n from 0 upwards with the two m beside mul / 2**(shift -
n). A multiplier of 24 bits on an accumulator of 16 typically needs 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_STEPS = 1 << 13
"""Staircases with more steps than this keep their multiplier: the search would take longer than it saves."""


@dataclass(frozen=True, slots=True)
class Multiplier:
    """y = clip((x * mul + offset) >> shift, lo, hi)."""

    mul: int
    offset: int
    shift: int


def smallest(mul: int, shift: int, lo: int, hi: int, least: int, greatest: int) -> Multiplier:
    """The equivalent with the fewest bits for x in least .. greatest, result clipped to lo .. hi."""
    half = (1 << shift) >> 1
    plain = _stripped(mul, half, shift)
    first, last = ((x * mul + half) >> shift for x in sorted((least, greatest), key=lambda x: x * mul))
    bottom, top = max(first, lo), min(last, hi)
    wide = (max(abs(least), abs(greatest)) * abs(mul) + half) >> 61
    if mul <= 0 or bottom >= top or top - bottom > MOST_STEPS or wide:
        return plain
    k = np.arange(bottom + 1, top + 1)
    theta = -((half - (k << shift)) // mul)
    reached, before = [k, theta], [k, theta - 1]
    if first >= lo:  # nothing is clipped below: the first step must not be left downwards
        reached = [np.append(k, bottom), np.append(theta, least)]
    if last <= hi:
        before = [np.append(k, top + 1), np.append(theta - 1, greatest)]
    for n in range(plain.shift):
        near = (mul << n) >> shift
        for m in (near, near + 1):
            least_offset = int(((reached[0] << n) - m * reached[1]).max())
            greatest_offset = int(((before[0] << n) - m * before[1]).min()) - 1
            if m > 0 and least_offset <= greatest_offset:
                return Multiplier(m, least_offset, n)
    return plain


def _stripped(mul: int, half: int, shift: int) -> Multiplier:
    """Common factors of two taken out: (x * mul + half) >> shift is the same of halves where mul and half are even."""
    while shift > 1 and mul % 2 == 0:
        mul, half, shift = mul // 2, half // 2, shift - 1
    return Multiplier(mul, half, shift)
