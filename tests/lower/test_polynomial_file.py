"""The recipe of polynomials as TOML and back, and what it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.lower.polynomial_file import as_toml, from_mapping
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.toml_fields import read_toml


@pytest.mark.parametrize(
    "recipe",
    [
        PolynomialRecipe(),
        PolynomialRecipe(alpha=9, offset=True, B_relu=50.0, B_max=10.5),
        PolynomialRecipe(method="fitted", degrees=(7, 15), margin=1.5, regularisation=0.01),
        PolynomialRecipe(degrees="cheapest"),
        PolynomialRecipe(method="given", coefficients="mine.json"),
    ],
)
def test_a_recipe_comes_back(recipe: PolynomialRecipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(as_toml(recipe))
    assert from_mapping(read_toml(file, "recipe")) == recipe


def test_every_field_has_its_comment_and_a_path_is_a_name() -> None:
    text = as_toml(PolynomialRecipe(method="given", coefficients="/some/where/mine.json"))
    assert tomllib.loads(text)["coefficients"] == "mine.json"
    assert text.count("#") == len(tomllib.loads(text))


def test_unknown_keys_and_bad_values_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping({"alhpa": 4, "zzz": 1}, "my.toml")
    assert str(caught.value) == (
        "this recipe has unknown keys\n"
        "  at   my.toml\n"
        "  why  there is no 'alhpa', did you mean 'alpha'?\n"
        "       there is no 'zzz'\n"
        "  fix  the keys are method, alpha, degrees, offset, B_relu, B_max, margin, regularisation, coefficients"
    )
    with pytest.raises(UsageError, match=r"at +my.toml\n +why +alpha must be an integer from 4 to 14, got 3"):
        from_mapping({"alpha": 3}, "my.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("alpha = = 3")
    with pytest.raises(UsageError, match="the recipe is not TOML"):
        read_toml(bad, "recipe")
    with pytest.raises(UsageError, match="the recipe cannot be read"):
        read_toml(tmp_path / "absent.toml", "recipe")
