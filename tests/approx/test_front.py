"""Degree lists to choose from: nothing on the front is beaten, and choices keep what they promise."""

from __future__ import annotations

import math

import pytest

from arithmos.approx.front import LOG2_ERRORS, best, candidates, cheapest
from arithmos.approx.sets import PUBLISHED, PUBLISHED_LOG2_ERROR, chosen, sign_set
from arithmos.errors import UsageError
from arithmos.ir.ops.polynomial import levels, multiplications


@pytest.mark.parametrize("offset", [False, True])
def test_no_candidate_is_beaten_by_another(offset: bool) -> None:
    rows = candidates(offset=offset)
    costs = [(row.levels, row.multiplications) for row in rows]
    assert costs == sorted(costs) and len(rows) > 15
    for row in rows:
        assert (row.levels, row.multiplications) == (levels(row.degrees), multiplications(row.degrees))
        others = [
            r for r in rows if r is not row and r.levels <= row.levels and r.multiplications <= row.multiplications
        ]
        assert all(other.log2_error > row.log2_error for other in others)


@pytest.mark.parametrize("alpha", PUBLISHED)
@pytest.mark.parametrize("offset", [False, True])
def test_the_table_says_what_the_shipped_sets_reach(alpha: int, offset: bool) -> None:
    found = sign_set(alpha, offset=offset)
    pairs = [pair for degrees, pair in LOG2_ERRORS.items() if sorted(degrees) == sorted(PUBLISHED[alpha])]
    assert found.error is not None and [pair[offset] for pair in pairs] == [round(math.log2(found.error), 3)]


@pytest.mark.parametrize("alpha", PUBLISHED)
def test_the_cheapest_takes_no_more_than_the_published_degrees(alpha: int) -> None:
    degrees = PUBLISHED[alpha]
    for offset in (False, True):
        found = cheapest(PUBLISHED_LOG2_ERROR[alpha], offset=offset)
        assert found.log2_error <= PUBLISHED_LOG2_ERROR[alpha]
        assert (found.levels, found.multiplications) <= (levels(degrees), multiplications(degrees))
        assert best(levels(degrees), offset=offset).log2_error <= found.log2_error
        within = best(levels(degrees), multiplications(degrees), offset=offset)
        assert within.multiplications <= multiplications(degrees) and within.log2_error < PUBLISHED_LOG2_ERROR[alpha]


def test_a_recipe_takes_the_cheapest_and_the_best() -> None:
    assert chosen(4, "cheapest", offset=False).degrees == cheapest(-3.71, offset=False).degrees
    assert sorted(chosen(7, "best", offset=False).degrees) == sorted(best(6, offset=False).degrees)


def test_what_cannot_be_had_is_said() -> None:
    with pytest.raises(UsageError) as caught:
        cheapest(-30.0, offset=False)
    least = min(row.log2_error for row in candidates(offset=False))
    assert str(caught.value) == (
        "no degrees have an error of 2^-30\n"
        f"  why  the most exact of them reach 2^{least:.4g}\n"
        "  fix  ask for a larger error, or give degrees"
    )
    with pytest.raises(UsageError) as caught:
        best(0, 3, offset=False)
    assert str(caught.value) == (
        "no composite sign has 0 levels and 3 multiplications\n"
        "  why  the cheapest takes 1 levels and 0 multiplications\n"
        "  fix  allow more levels or multiplications"
    )
