"""What of a recipe is read at all: the rest is set back to its defaults, so that recipes that mean the same are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from arithmos.lower.methods import SOLVERS
from arithmos.lower.recipe import Recipe

READ: Mapping[str, Callable[[Recipe], bool]] = MappingProxyType(
    {
        "lamb": lambda recipe: recipe.regularizer != "none",
        "percentile": lambda recipe: _has_scalar(recipe),
        "fusion": lambda recipe: _has_scalar(recipe),
        "error_correction": lambda recipe: recipe.sees_samples,
        "patches": lambda recipe: recipe.solves,
        "retain_rate": lambda recipe: recipe.solves,
        "order": lambda recipe: recipe.method.solver in SOLVERS,
        "damping": lambda recipe: recipe.damps,
    }
)
"""field -> whether anything depends on it in this recipe; fields that are not named always count."""

_DEFAULTS = {f.name: f.default for f in fields(Recipe)}


def relevant(recipe: Recipe) -> dict[str, Any]:
    """The fields as plain data, idle ones at their defaults. Overrides are a list: later ones go before earlier."""
    idle = {name for name, is_read in READ.items() if not is_read(recipe)}
    kept = {name: _DEFAULTS[name] if name in idle else getattr(recipe, name) for name in _DEFAULTS}
    tables = {
        glob: {name: value for name, value in chosen.items() if name not in idle}
        for glob, chosen in recipe.overrides.items()
    }
    overrides = [[glob, chosen] for glob, chosen in tables.items() if chosen]
    return kept | {"corrections": sorted(recipe.corrections), "overrides": overrides}


def draws(recipe: Recipe) -> bool:
    """Whether anything is drawn at random: windows that layers are solved on, and how spfq rounds."""
    return recipe.solves


def _has_scalar(recipe: Recipe) -> bool:
    chosen = [values.get("scalar") for values in recipe.overrides.values()]
    return any(scalar is not None for scalar in (recipe.scalar, *chosen))
