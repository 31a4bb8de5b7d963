"""Shipped sets: proven again by other means, more precise than published, at the published degrees."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from arithmos.approx import coefficients, sets
from arithmos.approx.composite import Composite, relu_of
from arithmos.approx.sets import PUBLISHED, PUBLISHED_LOG2_ERROR, SHIPPED, chosen, published_degrees, sign_set
from arithmos.errors import UsageError
from proven_error import relu_error_is_at_most, stays_inside

EACH = [(alpha, offset) for alpha in PUBLISHED for offset in (False, True)]


@pytest.mark.parametrize(("alpha", "offset"), EACH)
def test_the_proven_error_is_below_the_published_one(alpha: int, offset: bool) -> None:
    found = sign_set(alpha, offset=offset)
    assert sorted(found.degrees) == sorted(PUBLISHED[alpha]) and (found.offset != 0) == offset
    assert found.error is not None and math.log2(found.error) < PUBLISHED_LOG2_ERROR[alpha] - (0.9 if offset else 0.1)


@pytest.mark.parametrize("offset", [False, True])
def test_every_alpha_is_more_exact_than_the_one_before(offset: bool) -> None:
    errors = [sign_set(alpha, offset=offset).error for alpha in PUBLISHED]
    assert all(a is not None and b is not None and b < a * 0.95 for a, b in pairwise(errors))


@pytest.mark.parametrize(("alpha", "offset"), EACH)
def test_the_error_of_every_shipped_set_is_proven_without_the_generator(alpha: int, offset: bool) -> None:
    rows = json.loads(SHIPPED.read_text())["composites"]
    row = rows[2 * (alpha - 4) + offset]
    assert sorted(row["degrees"]) == sorted(PUBLISHED[alpha])
    stages = [np.array([float.fromhex(c) for c in stage]) for stage in row["stages"]]
    error = float.fromhex(row["error"])
    assert all(stays_inside(stage) for stage in stages[:-1])
    assert relu_error_is_at_most(stages, float.fromhex(row["offset"]), error)
    assert row["log2_error"] == round(math.log2(error), 4)


def test_the_verifier_can_say_no() -> None:
    found = sign_set(4, offset=True)
    assert found.error is not None
    assert relu_error_is_at_most(list(found.stages), found.offset, found.error)
    assert not relu_error_is_at_most(list(found.stages), found.offset, found.error * 0.99)
    assert not stays_inside(np.array([0.0, 1.0, 0.0, 1e-6]))


@pytest.mark.slow
@pytest.mark.parametrize("offset", [False, True])
def test_the_generator_gives_the_shipped_set(offset: bool) -> None:
    pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')
    again, shipped = sets.made((7, 7), offset=offset), sign_set(7, offset=offset)
    assert again.error == pytest.approx(shipped.error, rel=1e-4)  # digits are the same on one platform only
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(again.stages, shipped.stages, strict=True))


def test_with_the_constant_the_error_at_0_is_the_largest() -> None:
    for alpha in PUBLISHED:
        found = sign_set(alpha, offset=True)
        assert found.error is not None and found.offset == pytest.approx(found.error, rel=1e-3)
        assert relu_of(sign_set(alpha, offset=False), np.zeros(1))[0] == 0


def test_both_orders_of_two_stages_are_one_set() -> None:
    assert sign_set((7, 3), offset=True) is sign_set((3, 7), offset=True) is sign_set(6, offset=True)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    sets._found.cache_clear()
    yield tmp_path / "polynomials"
    sets._found.cache_clear()


def test_other_degrees_are_made_once_and_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')
    found = sign_set((9,), offset=False)
    assert [file.name for file in empty_cache.iterdir()] == ["1-9.json"]
    sets._found.cache_clear()
    monkeypatch.setattr(sets, "made", lambda *_, **__: pytest.fail("it was made twice"))
    again = sign_set((9,), offset=False)
    assert again.error == found.error and np.array_equal(again.stages[0], found.stages[0])


def test_a_damaged_cache_is_made_anew(empty_cache: Path) -> None:
    pytest.importorskip("flint", reason='pip install "arithmos[polynomials]"')
    empty_cache.mkdir()
    (empty_cache / "1-11.json").write_text("{")
    assert isinstance(sign_set((11,), offset=False), Composite)
    assert coefficients.load(empty_cache / "1-11.json")[0].degrees == (11,)


def test_a_recipe_chooses() -> None:
    assert chosen(9, offset=False) is sign_set(9, offset=False)
    assert chosen(9, [7, 7], offset=True) is sign_set(7, offset=True)


@pytest.mark.parametrize("alpha", [3, 15, 0, -4, True])
def test_alphas_without_a_set(alpha: int) -> None:
    with pytest.raises(UsageError) as caught:
        published_degrees(alpha)
    assert str(caught.value) == (
        f"there is no set for alpha {alpha}\n"
        "  why  sets are made for alpha 4 to 14\n"
        "  fix  choose an alpha from 4 to 14, or give degrees, for instance (15, 15, 31)"
    )


@pytest.mark.parametrize(
    ("degrees", "why"), [((4, 7, 33), "not odd, or not from 1 to 31: 4, 33"), ((), "there is no stage")]
)
def test_degrees_without_a_set(degrees: tuple[int, ...], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        sign_set(degrees, offset=False)
    assert str(caught.value) == (
        f"no composite sign has the degrees {list(degrees)}\n"
        f"  why  {why}\n"
        "  fix  give odd degrees, first stage first, for instance (7, 15)"
    )


def test_words_that_are_no_degrees() -> None:
    with pytest.raises(UsageError, match="there are no degrees 'fastest'"):
        chosen(8, "fastest", offset=False)
