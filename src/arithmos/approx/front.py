"""Degree lists worth their levels and multiplications: what a planner chooses from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from arithmos.errors import UsageError
from arithmos.ir.ops.polynomial import levels, multiplications


@dataclass(frozen=True, slots=True)
class Candidate:
    """A composite sign: degrees in order of evaluation, its cost without the product of the ReLU, log2 of its error."""

    degrees: tuple[int, ...]
    levels: int
    multiplications: int
    log2_error: float


LOG2_ERRORS: dict[tuple[int, ...], tuple[float, float]] = {
    (1,): (-3.272, -4.000),
    (3,): (-4.186, -4.886),
    (5,): (-4.751, -5.444),
    (7,): (-5.159, -5.849),
    (3, 3): (-5.144, -5.945),
    (9,): (-5.478, -6.166),
    (11,): (-5.739, -6.427),
    (13,): (-5.960, -6.647),
    (15,): (-6.152, -6.839),
    (3, 5): (-5.723, -6.567),
    (3, 7): (-6.188, -7.005),
    (17,): (-6.321, -7.008),
    (19,): (-6.473, -7.160),
    (23,): (-6.735, -7.422),
    (27,): (-6.958, -7.644),
    (31,): (-7.150, -7.836),
    (5, 5): (-6.307, -7.086),
    (5, 7): (-6.787, -7.548),
    (7, 7): (-7.210, -7.977),
    (5, 13): (-7.663, -8.352),
    (7, 13): (-8.096, -8.792),
    (7, 15): (-8.317, -9.026),
    (3, 7, 7): (-8.371, -9.123),
    (13, 13): (-8.920, -9.610),
    (13, 15): (-9.144, -9.861),
    (15, 15): (-9.338, -10.057),
    (7, 7, 7): (-9.440, -10.183),
    (13, 27): (-10.048, -10.749),
    (15, 27): (-10.244, -10.945),
    (15, 31): (-10.457, -11.149),
    (7, 7, 13): (-10.420, -11.127),
    (7, 7, 15): (-10.659, -11.368),
    (27, 27): (-11.055, -11.753),
    (31, 31): (-11.463, -12.159),
    (5, 13, 13): (-10.816, -11.522),
    (7, 13, 13): (-11.263, -11.971),
    (7, 7, 27): (-11.613, -12.308),
    (7, 15, 15): (-11.700, -12.412),
    (13, 13, 15): (-12.340, -13.053),
    (7, 15, 27): (-12.668, -13.356),
    (15, 15, 15): (-12.732, -13.446),
    (15, 15, 27): (-13.715, -14.403),
    (15, 27, 29): (-14.655, -15.351),
}
"""degrees -> log2 of the proven max |relu - r| on [-1, 1] with the constant 0, and with it free. Made by
bench/front.py."""


@cache
def candidates(*, offset: bool) -> tuple[Candidate, ...]:
    """Every list of LOG2_ERRORS that no other beats in levels, multiplications and error at once, cheapest first."""
    rows = [Candidate(d, levels(d), multiplications(d), pair[offset]) for d, pair in LOG2_ERRORS.items()]
    rows.sort(key=lambda row: (row.levels, row.multiplications, row.log2_error))
    return tuple(row for row in rows if not any(_beats(other, row) for other in rows))


def cheapest(log2_error: float, *, offset: bool) -> Candidate:
    """The candidate of the fewest levels, then multiplications, whose error is at most 2^log2_error.

    Raises UsageError if none is as exact.
    """
    found = [row for row in candidates(offset=offset) if row.log2_error <= log2_error]
    if not found:
        least = min(row.log2_error for row in candidates(offset=offset))
        raise UsageError(
            f"no degrees have an error of 2^{log2_error:.4g}",
            why=f"the most exact of them reach 2^{least:.4g}",
            fix="ask for a larger error, or give degrees",
        )
    return found[0]


def best(most_levels: int, most_multiplications: int | None = None, *, offset: bool) -> Candidate:
    """The candidate of the least error within the levels (and multiplications) of p alone; a ReLU takes one more each.

    Raises UsageError if none is as cheap.
    """
    found = [
        row
        for row in candidates(offset=offset)
        if row.levels <= most_levels and (most_multiplications is None or row.multiplications <= most_multiplications)
    ]
    if not found:
        first = candidates(offset=offset)[0]
        raise UsageError(
            f"no composite sign has {most_levels} levels"
            + ("" if most_multiplications is None else f" and {most_multiplications} multiplications"),
            why=f"the cheapest takes {first.levels} levels and {first.multiplications} multiplications",
            fix="allow more levels or multiplications",
        )
    return min(found, key=lambda row: row.log2_error)


def _beats(other: Candidate, row: Candidate) -> bool:
    theirs = (other.levels, other.multiplications, other.log2_error)
    ours = (row.levels, row.multiplications, row.log2_error)
    return theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True))
