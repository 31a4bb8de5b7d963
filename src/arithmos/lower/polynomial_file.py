"""The recipe of polynomials in a TOML file, every field with a comment; fields that choose nothing are left out."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomlkit

from arithmos.errors import UsageError
from arithmos.lower.polynomial_recipe import PolynomialRecipe

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
    known = [f.name for f in fields(PolynomialRecipe)]
    if unknown := [key for key in data if key not in known]:
        close = {key: difflib.get_close_matches(key, known, n=1) for key in unknown}
        raise UsageError(
            "this recipe has unknown keys",
            where=where,
            why="\n".join(
                f"there is no '{key}'" + (f", did you mean '{c[0]}'?" if c else "") for key, c in close.items()
            ),
            fix=f"the keys are {', '.join(known)}",
        )
    try:
        return PolynomialRecipe(**data)
    except UsageError as error:
        raise UsageError(error.what, where=where, why=error.why, fix=error.fix) from error


def read_recipe(path: Path) -> dict[str, Any]:
    """What the file says, unchecked but for its form. Raises UsageError for a missing file and bad TOML."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            "the recipe cannot be read", where=str(path), why=str(error), fix="give a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "the recipe is not TOML", where=str(path), why=str(error), fix="mend the line it names"
        ) from error
