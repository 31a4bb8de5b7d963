"""The recipe of polynomials in a TOML file, every field with a comment; fields that choose nothing are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomlkit

from arithmos.errors import UsageError
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.toml_fields import refuse_unknown_keys

GIVEN = "given"
"""What stands for coefficients that came from no file."""


def as_toml(recipe: PolynomialRecipe) -> str:
    """The recipe as TOML. Coefficients are named, not stored: a bundle's graph holds them."""
    document = tomlkit.document()
    for f in fields(recipe):
        value = getattr(recipe, f.name)
        if value is None:
            continue
        if f.name == "coefficients":
            value = Path(value).name if isinstance(value, str | Path) else GIVEN
        document.add(tomlkit.comment(f.metadata["help"]))
        document.add(f.name, list(value) if isinstance(value, tuple) else value)
    return tomlkit.dumps(document)


def from_mapping(data: Mapping[str, Any], where: str = "") -> PolynomialRecipe:
    """The recipe of a parsed document. Raises UsageError with every unknown key or bad value."""
    refuse_unknown_keys(data, [f.name for f in fields(PolynomialRecipe)], "recipe", where)
    try:
        return PolynomialRecipe(**data)
    except UsageError as error:
        raise UsageError(error.what, where=where, why=error.why, fix=error.fix) from error
