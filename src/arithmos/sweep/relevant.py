"""What of a recipe is read at all: the rest is set back to its defaults, so that recipes that mean the same are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from arithmos.lower.methods import SOLVERS
from arithmos.lower.recipe import Recipe

READ: Mapping[str, tuple[str, Callable[[Recipe], bool]]] = MappingProxyType(
    {
        "lamb": ("there is a regularizer", lambda recipe: recipe.regularizer != "none"),
        "percentile": ("there is a scalar", lambda recipe: _has_scalar(recipe)),
        "fusion": ("there is a scalar", lambda recipe: _has_scalar(recipe)),
        "error_correction": ("images pass through the network", lambda recipe: recipe.sees_samples),
        "patches": ("weights are solved on images", lambda recipe: recipe.solves),
        "retain_rate": ("weights are solved on images", lambda recipe: recipe.solves),
        "order": ("columns are solved one by one", lambda recipe: recipe.method.solver in SOLVERS),
        "damping": ("gptq or a descent solves", lambda recipe: recipe.damps),
        "seed": ("something is drawn at random", lambda recipe: recipe.solves),
    }
)
"""key -> (where it is read, in words; whether it is in this recipe); keys that are not named always count."""

_DEFAULTS = {f.name: f.default for f in fields(Recipe)}


def relevant(recipe: Recipe) -> dict[str, Any]:
    """The fields as plain data, idle ones at their defaults. Overrides are a list: later ones go before earlier."""
    idle = {name for name in READ if not is_read(name, recipe)}
    kept = {name: _DEFAULTS[name] if name in idle else getattr(recipe, name) for name in _DEFAULTS}
    tables = {
        glob: {name: value for name, value in chosen.items() if name not in idle}
        for glob, chosen in recipe.overrides.items()
    }
    overrides = [[glob, chosen] for glob, chosen in tables.items() if chosen]
    return kept | {"corrections": sorted(recipe.corrections), "overrides": overrides}


def is_read(key: str, recipe: Recipe) -> bool:
    """Whether anything in this recipe depends on the key of a grid."""
    return key not in READ or READ[key][1](recipe)


def _has_scalar(recipe: Recipe) -> bool:
    chosen = [values.get("scalar") for values in recipe.overrides.values()]
    return any(scalar is not None for scalar in (recipe.scalar, *chosen))
