"""clip(floor(t / 2**shift), 0, limit): rounding, relu and clamp in one decomposition.

Constraints of a row: shift + reach + below (the bits), + `unless_any`'s of `over` bits (saturation), + below (relu).
reach: bits of the largest quotient on either side; below: 1 if the quotient can be negative; over: bits by which a
positive quotient can exceed the limit's. A limit of 2**width - 2 (symmetric ranges) costs `any_of` width bits more; any
other limit a second, short decomposition.

Why there is no second witness. t is proven to be in [-2**(shift + reach), 2**(shift + reach)) (without the lower half
where it cannot be negative). Every bit satisfies b * (b - 1) = 0, so it is 0 or 1 in the field; bit 0 is by definition
t + 2**(shift + reach) minus the others, so the bits sum to it, in the field and, both sides being below 2**63, in the
integers: they are *the* bits. The top bit is [t >= 0]. All else is a product of what is determined already.
"""

from __future__ import annotations

from dataclasses import dataclass

from arithmos.targets.zk.combination import Signal, binary
from arithmos.targets.zk.gadgets import any_of
from arithmos.targets.zk.system import System


@dataclass(frozen=True, slots=True, order=True)
class Rounding:
    """The form of one rounding, equal for all rows that share it. quotient lo .. hi is proven; the result is clipped to
    0 .. limit."""

    shift: int
    reach: int
    below: bool
    top: int
    limit: int

    @property
    def width(self) -> int:
        """Bits of the limit."""
        return self.limit.bit_length()

    @property
    def over(self) -> int:
        """By how many bits a positive quotient can exceed the limit's."""
        return max(self.top - self.width, 0)

    @property
    def spare(self) -> int:
        """How many numbers of the limit's width exceed the limit."""
        return (1 << self.width) - 1 - self.limit

    @property
    def constraints(self) -> int:
        """Constraints of a row."""
        if self.spare > 1:
            return self._free.constraints + self._rest.constraints
        bits = self.shift + self.reach + self.below
        saturation = any_of.unless_constraints(self.over)
        return bits + saturation + self.spare * any_of.constraints(self.width) + (self.below and self.top > 0)

    @property
    def _free(self) -> Rounding:
        return rounding(self.shift, -(1 << self.reach) if self.below else 0, (1 << self.top) - 1, (1 << self.top) - 1)

    @property
    def _rest(self) -> Rounding:
        return rounding(0, self.limit - (1 << self.top) + 1, self.limit, (1 << self.width) - 1)


def rounding(shift: int, lo: int, hi: int, limit: int) -> Rounding:
    """The form for a quotient proven to be in lo .. hi, hi >= 0. A limit that is never exceeded is none."""
    top = hi.bit_length()
    reach = max(top, (-lo - 1).bit_length() if lo < 0 else 0)
    return Rounding(shift, reach, lo < 0, top, (1 << top) - 1 if hi <= limit else limit)


def round_to(c: System, t: Signal, form: Rounding) -> Signal:
    """clip(t >> shift, 0, limit)."""
    if form.spare > 1:
        return form.limit - round_to(c, form.limit - round_to(c, t, form._free), form._rest)
    n = form.shift + form.reach + form.below
    bits = c.bits(t + (1 << (n - 1)) if form.below else t, n)
    quotient = bits[form.shift : form.shift + form.top]
    low = quotient[: form.width]
    if not low:
        return t * 0
    y = binary(low)
    if form.spare:  # all ones is one too many
        y = y - 1 + any_of.any_of(c, [1 - bit for bit in low])
    if form.over:
        y = any_of.unless_any(c, quotient[form.width :], y, form.limit)
    return c.product(bits[-1], y) if form.below else y
