"""The recipe's flags of `sweep`, which take lists and ranges: one value is that of all runs, several are a grid's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from arithmos.cli.recipe_flags import recipe_flags
from arithmos.errors import UsageError
from arithmos.sweep.configuration import shown
from arithmos.sweep.grid import grid_of
from arithmos.sweep.keys import ALIASES, KEYS, OWN

grid_flags = partial(recipe_flags, several=True)


def sorted_flags(given: Mapping[str, Any], keys: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """(the flags with the values of their fields, KEY=VALUES of those that belong to the grid).

    To the grid belong --bits and --stochastic, which are no fields of a recipe, flags of several values, and those
    whose key the grid has elsewhere (keys): they go before a file's, and next to --grid they are one too many. Raises
    UsageError with every value that cannot be.
    """
    texts = {
        name: value if isinstance(value, str) else shown(value)
        for name, value in given.items()
        if name in KEYS and (name not in OWN or name == "bits") and value not in (None, ())
    }
    texts |= {"stochastic": "true"} if given.get("stochastic") else {}
    if not texts:
        return dict(given), []
    try:
        read = grid_of({}, [f"{name}={text}" for name, text in texts.items()])
    except UsageError as error:
        raise UsageError(
            "these flags cannot be followed",
            why=error.why,
            fix="a flag takes one value or several: --scalar 1.16, --scalar 1..2:0.05, --method gpfq,spfq",
        ) from error
    named = {ALIASES.get(key, key) for key in keys}
    chosen = {
        name for name, values in read.items() if name in OWN or name in named or len(values) > 1 or values[0] is None
    }
    kept = {name: None if name in chosen else values[0] for name, values in read.items() if name not in OWN}
    return {**given, **kept}, [f"{name}={texts[name]}" for name in read if name in chosen]
