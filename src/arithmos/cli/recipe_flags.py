"""Flags of `quantize` made from the fields of Recipe: names, help and defaults are written there, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.config_flags import chosen, config_flags, merged
from arithmos.lower.recipe import Recipe, from_mapping, read_recipe


def recipe_flags(command: Any) -> Any:
    """One flag a field of Recipe, --recipe for a file, and --set for anything in it."""
    command = config_flags(Recipe, skip=("overrides",))(command)
    return click.option(
        "--recipe", "recipe_file", type=flags.EXISTING, help="Recipe in TOML; flags and --set go before it."
    )(command)


def recipe_of(recipe_file: Path | None, given: Mapping[str, Any], sets: tuple[str, ...]) -> Recipe:
    """The recipe: defaults, the file, the flags, --set, in this order. Raises UsageError for what is unknown in it."""
    base = _plain(read_recipe(recipe_file) if recipe_file else Recipe())
    return from_mapping(merged(base, chosen(given, sets, base)), str(recipe_file or ""))


def _plain(recipe: Recipe) -> dict[str, Any]:
    overrides = {glob: dict(fields_) for glob, fields_ in recipe.overrides.items()}
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe)} | {"overrides": overrides}
