"""Coefficient sets of the ReLU: shipped for the published degrees of alpha 4 to 14, made on demand for any others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from arithmos import atomic, settings
from arithmos.approx import coefficients, front, odd_series
from arithmos.approx.certify import relu_bound
from arithmos.approx.composite import Composite
from arithmos.approx.joint import optimum
from arithmos.approx.stagewise import odd_degrees
from arithmos.errors import UsageError, VerificationError
from arithmos.ir.ops.polynomial import levels

PUBLISHED: dict[int, tuple[int, ...]] = {
    4: (5,),
    5: (13,),
    6: (3, 7),
    7: (7, 7),
    8: (7, 15),
    9: (15, 15),
    10: (7, 7, 13),
    11: (7, 7, 27),
    12: (7, 15, 27),
    13: (15, 15, 27),
    14: (15, 27, 29),
}
"""alpha -> degrees. Lee et al., Precise approximation of convolutional neural networks for homomorphically encrypted
data, arXiv 2105.10879."""

PUBLISHED_LOG2_ERROR: dict[int, float] = {
    4: -3.71,
    5: -4.86,
    6: -6.05,
    7: -7.04,
    8: -8.03,
    9: -9.01,
    10: -10.11,
    11: -11.05,
    12: -12.09,
    13: -13.08,
    14: -14.02,
}
"""alpha -> log2 of max |relu - r| on [-1, 1] of the coefficients published with that paper, measured."""

SHIPPED = Path(__file__).with_name("sets.json")


def published_degrees(alpha: int) -> tuple[int, ...]:
    """The degrees of the published composite for this precision, ascending. Raises UsageError unless 4 <= alpha <=

    14.
    """
    if isinstance(alpha, bool) or alpha not in PUBLISHED:
        raise UsageError(
            f"there is no set for alpha {alpha}",
            why="sets are made for alpha 4 to 14",
            fix="choose an alpha from 4 to 14, or give degrees, for instance (15, 15, 31)",
        )
    return PUBLISHED[alpha]


def sign_set(which: int | Sequence[int], *, offset: bool) -> Composite:
    """The composite p whose x (1 + p(x)) / 2 + c is nearest to relu on [-1, 1] in the largest error, with that error.

    which: alpha, or degrees, each odd, 1 to 31; all orders of two stages are the same set, and the better one is
    returned. offset: whether c is free; otherwise it is 0. Shipped sets are read; others are made with the extra
    `polynomials`, in seconds to minutes, and kept in the cache.
    """
    degrees = published_degrees(which) if isinstance(which, int) else odd_degrees(which)
    return _found(tuple(sorted(degrees)) if len(degrees) <= 2 else degrees, offset)


def chosen(alpha: int, degrees: Sequence[int] | str | None = None, *, offset: bool) -> Composite:
    """The set of a recipe. degrees: None is the published ones of alpha; or a list, first stage first; or

    cheapest: of the fewest levels, then multiplications, whose error is no larger than the published one of alpha.
    best: of the least error with no more levels than published. Raises UsageError for anything else.
    """
    published = published_degrees(alpha)
    if degrees is None:
        return sign_set(alpha, offset=offset)
    if degrees == "cheapest":
        return sign_set(front.cheapest(PUBLISHED_LOG2_ERROR[alpha], offset=offset).degrees, offset=offset)
    if degrees == "best":
        return sign_set(front.best(levels(published), offset=offset).degrees, offset=offset)
    if isinstance(degrees, str):
        raise UsageError(
            f"there are no degrees {degrees!r}",
            why="they are a list, or cheapest, or best",
            fix="give cheapest, best, or odd degrees, first stage first, for instance (7, 15)",
        )
    return sign_set(tuple(degrees), offset=offset)


def made(degrees: tuple[int, ...], *, offset: bool) -> Composite:
    """A set from nothing: optimized, folded, and its error proven. Both orders of two stages are tried."""
    orders = sorted(set(itertools.permutations(degrees))) if len(degrees) <= 2 else [degrees]
    best = min((optimum(order, offset=offset) for order in orders), key=lambda found: found.error)
    constant = best.offset if offset else 0.0
    composite = Composite(tuple(odd_series.dense(stage) for stage in best.stages), constant)
    return Composite(composite.stages, composite.offset, relu_bound(composite))


@cache
def _found(degrees: tuple[int, ...], offset: bool) -> Composite:
    for composite in _shipped():
        same = sorted(composite.degrees) == sorted(degrees) if len(degrees) <= 2 else composite.degrees == degrees
        if same and (composite.offset != 0) == offset:
            return composite
    name = "-".join(map(str, degrees)) + ("-offset" if offset else "")
    file = settings.cache_dir() / "polynomials" / f"{coefficients.SCHEMA}-{name}.json"
    with suppress(UsageError, VerificationError):  # none there, or a damaged one
        return coefficients.load(file)[0]
    composite = made(degrees, offset=offset)
    with atomic.output_file(file, force=True) as draft:
        draft.write_text(coefficients.text([composite]), encoding="utf-8")
    return composite


@cache
def _shipped() -> tuple[Composite, ...]:
    return coefficients.load(SHIPPED)
