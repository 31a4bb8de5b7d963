"""Flags of `quantize` made from the fields of Recipe: names, help and defaults are written there, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.cli.config_flags import VALUES, chosen, config_flags, merged
from arithmos.errors import UsageError
from arithmos.lower.all_layers import of_all_layers
from arithmos.lower.recipe import Recipe, from_mapping, plain, read_recipe
from arithmos.lower.recipe_rules import shape_problems

BITS = (
    "Bits of all weights, 1 to 8, first and last layers included; what a recipe's overrides say of single layers goes "
    "before it. [default: those of --weight-bits and --edge-bits]"
)


def recipe_flags(command: Any, *, several: bool = False) -> Any:
    """One flag a field of Recipe, -b and --stochastic for what papers call so, --recipe for a file, and --set.

    several: values are texts, lists and ranges among them.
    """
    command = config_flags(Recipe, skip=("overrides",), several=several)(command)
    command = click.option("--stochastic", is_flag=True, help="Round gpfq at random, without bias: spfq.")(command)
    kind: dict[str, Any] = {"type": str, "metavar": VALUES} if several else {"type": int}
    command = click.option("-b", "--bits", **kind, help=BITS)(command)
    return click.option(
        "--recipe", "recipe_file", type=flags.EXISTING, help="Recipe in TOML; flags and --set go before it."
    )(command)


def recipe_of(recipe_file: Path | None, given: Mapping[str, Any], sets: tuple[str, ...]) -> Recipe:
    """The recipe: defaults, the file, the flags, --set, in this order. Raises UsageError for what is unknown in it, and
    for flags that would change nothing."""
    base = plain(read_recipe(recipe_file) if recipe_file else Recipe())
    fields_ = merged(base, chosen(given, sets, base))
    bits, stochastic = given.get("bits"), given.get("stochastic")
    if bits is not None and not shape_problems(fields_):
        _check_bits(bits, given)
        fields_ |= {"weight_bits": bits, "overrides": of_all_layers(bits, fields_["overrides"])}
    if stochastic:
        fields_["rounding"] = _stochastic(str(fields_["rounding"]))
    recipe = from_mapping(fields_, str(recipe_file or ""))
    _refuse_idle(given, recipe)
    return recipe


def _check_bits(bits: int, given: Mapping[str, Any]) -> None:
    if not 1 <= bits <= 8:
        raise UsageError(
            f"--bits cannot be {bits}",
            why="weights of few bits have 1 to 8",
            fix="give 1 to 8, or more with --weight-bits",
        )
    if given.get("weight_bits") is not None:
        raise UsageError(
            "--bits and --weight-bits both choose the bits of weights",
            why="the one of all layers, the other leaves the first and the last to --edge-bits",
            fix="leave one of them out",
        )


def _refuse_idle(given: Mapping[str, Any], recipe: Recipe) -> None:
    scaled = recipe.scalar is not None or any("scalar" in chosen for chosen in recipe.overrides.values())
    idle = (
        ("percentile", "percentile", not scaled, "the quantile that --scalar multiplies", "--scalar"),
        ("lambda", "lamb", recipe.regularizer == "none", "the threshold of --regularizer", "--regularizer L1 or L0"),
    )
    for flag, name, nothing, what, needed in idle:
        if nothing and given.get(name) is not None:
            raise UsageError(f"--{flag} does nothing here", why=f"it is {what}", fix=f"give {needed}, or leave it out")


def _stochastic(rounding: str) -> str:
    """The stochastic form of gpfq, which alone has one."""
    if rounding.removesuffix("+descent") not in ("gpfq", "spfq"):
        raise UsageError(
            f"--stochastic does not go with --rounding {rounding}",
            why="it is gpfq that can round at random",
            fix="give --method gpfq, or leave --stochastic out",
        )
    return rounding.replace("gpfq", "spfq")
