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


LOG2_ERRORS: dict[tuple[int, ...], tuple[float, float]] = {}
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
