"""The choice of margin and regularisation: the least rms among settings that stay inside, by trying them all."""

from __future__ import annotations

import re

import pytest

from arithmos.errors import UsageError
from arithmos.evidence.fit_settings import HEADROOM, chosen_fit
from arithmos.evidence.held_out import held_out, loss
from arithmos.lower import replacement
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.polynomials import choose
from evidence.hybrid import small_cnn
from factories import images

pytest.importorskip("torch")


def test_a_margin_that_lets_values_escape_is_not_chosen_however_small_its_rms():
    prepared = small_cnn()
    held = held_out(prepared.graph, images(96, seed=11))
    found = chosen_fit(prepared, PolynomialRecipe(method="composite", alpha=10), held, margins=(1.0, 1.6, 3.0))
    narrow, middle, wide = found.settings
    assert not narrow.loss.inside(HEADROOM) and middle.loss.inside(HEADROOM) and wide.loss.inside(HEADROOM)
    assert middle.loss.rms < wide.loss.rms
    assert (found.recipe.margin, found.recipe.alpha, found.n) == (1.6, 10, 96)
    net = replacement.replace(prepared.graph, choose(prepared, found.recipe))
    assert loss(net, held) == middle.loss
    assert [line.endswith("chosen") for line in found.text.splitlines()[1:]] == [False, True, False]
    assert found.facts["margin"] == 1.6 and len(found.facts["settings"]) == 3


def test_fitted_polynomials_have_a_regularisation_to_choose_too():
    pytest.importorskip("scipy")
    pytest.importorskip("flint")
    prepared = small_cnn()
    held = held_out(prepared.graph, images(32, seed=11))
    recipe = PolynomialRecipe(method="fitted", degrees=(7,))
    found = chosen_fit(prepared, recipe, held, margins=(1.5, 2.0), regularisations=(1e-3, 1.0))
    assert [(s.margin, s.regularisation) for s in found.settings] == [(1.5, 1e-3), (1.5, 1.0), (2.0, 1e-3), (2.0, 1.0)]
    best = min(found.settings, key=lambda s: s.loss.rms)
    assert (found.recipe.margin, found.recipe.regularisation) == (best.margin, best.regularisation)
    assert best.loss.inside(HEADROOM)


def test_where_everything_escapes_each_outcome_is_listed():
    prepared = small_cnn()
    held = held_out(prepared.graph, images(8, seed=11) * 5)
    with pytest.raises(UsageError) as caught:
        chosen_fit(prepared, PolynomialRecipe(method="composite", alpha=6), held, margins=(1.0, 1.1))
    assert caught.value.what == "none of 2 settings keeps every value inside its interval"
    first, second = caught.value.why.splitlines()
    assert re.fullmatch(r"margin 1, regularisation 0.001: '\S+' is -?[\d.]+, B is [\d.]+", first)
    assert second.startswith("margin 1.1, regularisation 0.001: '")
