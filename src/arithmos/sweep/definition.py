"""The definition of a sweep in TOML: [grid], [recipe] that all runs share, and one [[network]] for each network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomlkit

from arithmos import __version__
from arithmos.atomic import output_file
from arithmos.errors import UsageError
from arithmos.lower.recipe import Recipe
from arithmos.lower.toml_fields import read_toml, unknown_key
from arithmos.sweep.grid import Grid
from arithmos.sweep.keys import KEYS

FILE = "sweep.toml"
NETWORK: dict[str, type] = {
    "name": str,
    "model": str,
    "weights": str,
    "example": str,
    "input_size": int,
    "classes": int,
    "mean": list,
    "std": list,
    "dataset": str,
    "data_dir": str,
    "calibration_split": str,
    "n_calibration": int,
    "max_images": int,
}
"""key of a [[network]] -> what its value is; they are the flags of the same names, max_images is --evaluate."""

SECTIONS: dict[str, type] = {"grid": dict, "recipe": dict, "network": list, "arithmos": str}
_FORMS = {dict: "a table", list: "a list", str: "a text", int: "an integer of 1 or more"}


@dataclass(frozen=True, slots=True)
class Definition:
    """grid: {key: what was given}; recipe: fields; networks: one table each. All as TOML has them."""

    grid: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    networks: tuple[Mapping[str, Any], ...] = ()


def read_definition(path: str | Path) -> Definition:
    """The definition in a file, its names and forms checked: values of the grid and the recipe are not, here.

    Raises UsageError for a missing file, bad TOML, and with every unknown key and every value of a wrong form.
    """
    data = read_toml(path, "sweep")
    problems = [unknown_key(key, list(SECTIONS)) for key in data if key not in SECTIONS]
    problems += [
        f"{key} must be {_FORMS[kind]}" for key, kind in SECTIONS.items() if not isinstance(data.get(key, kind()), kind)
    ]
    if not problems:
        known = [f.name for f in fields(Recipe)]
        problems += [f"[recipe] {unknown_key(key, known)}" for key in data.get("recipe", {}) if key not in known]
        problems += _network_problems(data.get("network", []))
    if problems:
        raise UsageError(
            "this sweep cannot be read",
            where=str(path),
            why="\n".join(problems),
            fix=f"a sweep has [grid], [recipe] and any number of [[network]] with {', '.join(NETWORK)}",
        )
    return Definition(data.get("grid", {}), _plain(data.get("recipe", {})), tuple(data.get("network", [])))


def write_definition(folder: Path, definition: Definition) -> None:
    """sweep.toml in the folder: the definition as `read_definition` takes it."""
    document = tomlkit.document()
    document.add(tomlkit.comment("what was run here; `arithmos sweep sweep.toml -o FOLDER` runs it again"))
    document.add("arithmos", __version__)
    document.add("grid", _table(definition.grid))
    document.add("recipe", _table(definition.recipe))
    networks = tomlkit.aot()
    for network in definition.networks:
        networks.append(_table(network))
    document.add("network", networks)
    with output_file(folder / FILE, force=True) as draft:
        draft.write_text(tomlkit.dumps(document))


def differences(old: Definition, new: Definition) -> list[str]:
    """One line for each key whose values differ: "grid bits: 1, 2 there, 3 here"."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key}: {before.get(key, _usual(key))} there, {after.get(key, _usual(key))} here"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def as_table(grid: Grid) -> dict[str, list[Any]]:
    """A grid's values as TOML holds them: none is a word, a tuple of words a list."""
    return {key: [_toml(value) for value in values] for key, values in grid.items()}


def _network_problems(networks: list[Any]) -> list[str]:
    """What is wrong with any [[network]], a line each."""
    problems: list[str] = []
    named = [str(table.get("name", table.get("model", ""))) for table in networks if isinstance(table, dict)]
    for number, table in enumerate(networks, 1):
        where = f"[[network]] {number}:"
        if not isinstance(table, dict):
            problems.append(f"{where} it must be a table")
            continue
        problems += [f"{where} {unknown_key(key, list(NETWORK))}" for key in table if key not in NETWORK]
        problems += [
            f"{where} {key} must be {_FORMS[kind]}, got {table[key]!r}"
            for key, kind in NETWORK.items()
            if key in table and (type(table[key]) is not kind or (kind is int and table[key] < 1))
        ]
        problems += [f"{where} it names no model"] * ("model" not in table)
    problems += [
        f"{named.count(name)} networks are named '{name}'" for name in dict.fromkeys(named) if named.count(name) > 1
    ]
    return problems


def _flat(definition: Definition) -> dict[str, Any]:
    """{"grid bits": "1, 2", …} of everything in a definition."""
    tables = {"grid": definition.grid, "recipe": definition.recipe}
    tables |= {str(network.get("name", network.get("model"))): network for network in definition.networks}
    return {f"{table} {key}": _text(value) for table, values in tables.items() for key, value in values.items()}


def _usual(key: str) -> str:
    """What holds where nothing is written: the default of a recipe's field."""
    defaults = {f"recipe {f.name}": f.default for f in fields(Recipe) if f.name != "overrides"}
    return f"{_text(_toml(defaults[key]))} by default" if key in defaults else "nothing"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(values: Mapping[str, Any]) -> dict[str, Any]:
    """As TOML holds it: none as a word, so that no key is lost."""
    return {key: _toml(value) for key, value in values.items()}


def _toml(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return _table(value)
    return [_toml(one) for one in value] if isinstance(value, list | tuple) else value


def _plain(fields_: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_table` for the fields of a recipe, and for overrides of them."""
    return {
        key: _plain(value)
        if isinstance(value, Mapping)
        else None
        if value == "none" and key in KEYS and KEYS[key].optional
        else value
        for key, value in fields_.items()
    }
