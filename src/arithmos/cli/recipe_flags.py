"""Flags of `quantize` made from the fields of Recipe: names, help and defaults are written there, once."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from arithmos.cli import flags
from arithmos.errors import UsageError
from arithmos.lower.recipe import Recipe, from_mapping, read_recipe


def recipe_flags(command: Any) -> Any:
    """One flag a field of Recipe, --recipe for a file, and --set for anything in it."""
    command = click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any field, e.g. overrides.'layer1.*'.weight_bits=4."
    )(command)
    types = typing.get_type_hints(Recipe)
    for field in reversed([f for f in fields(Recipe) if f.name != "overrides"]):
        several = types[field.name] not in (int, str) and typing.get_origin(types[field.name]) is tuple
        command = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            type=_click_type(types[field.name]),
            multiple=several,
            help=f"{field.metadata['help']}  [default: {_shown(field.default)}]" + " Repeatable." * several,
        )(command)
    return click.option(
        "--recipe", "recipe_file", type=flags.EXISTING, help="Recipe in TOML; flags and --set go before it."
    )(command)


def recipe_of(recipe_file: Path | None, given: Mapping[str, Any], sets: tuple[str, ...]) -> Recipe:
    """The recipe: defaults, the file, the flags, --set, in this order. Raises UsageError for what is unknown in it."""
    base = read_recipe(recipe_file) if recipe_file else Recipe()
    chosen = _plain(base)
    chosen |= {name: value for name, value in given.items() if name in chosen and value not in (None, ())}
    for text in sets:
        chosen = _merged(chosen, parsed(text))
    return from_mapping(chosen, str(recipe_file or ""))


def _plain(recipe: Recipe) -> dict[str, Any]:
    overrides = {glob: dict(fields_) for glob, fields_ in recipe.overrides.items()}
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe)} | {"overrides": overrides}


def _click_type(kind: Any) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        return click.Choice(typing.get_args(kind))
    return click.INT if kind is int else click.STRING


def _shown(default: Any) -> str:
    return ", ".join(default) or "none" if isinstance(default, tuple) else str(default)


def parsed(text: str) -> dict[str, Any]:
    """{"a": {"b": 4}} of "a.b=4"; a value that is no TOML is text, so that activation_observer=mse needs no quotes."""
    key, equals, value = text.partition("=")
    for candidate in (text, f"{key}={value!r}") if equals else ():
        try:
            return tomllib.loads(candidate)
        except tomllib.TOMLDecodeError:
            continue
    raise UsageError(
        f"--set {text} is not KEY=VALUE",
        why="a key, an equals sign and a value are needed",
        fix="for example --set weight_bits=4",
    )


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    tables = {k: _merged(dict(old.get(k, {})), v) for k, v in new.items() if isinstance(v, Mapping)}
    return {**old, **new, **tables}
