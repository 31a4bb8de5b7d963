"""The keys of a grid: every field of a recipe, and what a run chooses beside it, each with its kind of value."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass, fields
from typing import Any

from arithmos.lower.recipe import Recipe
from arithmos.lower.recipe_rules import value_problems

ALIASES = {"method": "rounding", "lambda": "lamb", "batch_size": "n_calibration"}
"""Second names of keys: the published program's options, and words for them."""

OWN: dict[str, type] = {
    "bits": int,
    "stochastic": bool,
    "mlp_scalar": float,
    "cnn_scalar": float,
    "mlp_percentile": float,
    "cnn_percentile": float,
    "n_calibration": int,
    "seed": int,
    "network": str,
}
"""Keys that are no field of a recipe: bits are those of every layer, mlp_ and cnn_ of linear and conv layers alone."""

FIELD_OF = {
    "mlp_scalar": "scalar",
    "cnn_scalar": "scalar",
    "mlp_percentile": "percentile",
    "cnn_percentile": "percentile",
}
"""key -> the field of the recipe that it sets for some of the layers, with the same rules."""

INTEGERS = {"bits": (1, 8), "weight_bits": (1, 8), "n_calibration": (1, 1 << 31), "seed": (0, (1 << 63) - 1)}
"""key -> (least, largest) of the keys whose range is no field's, or narrower in a sweep."""

_RANGE_SIGNS = re.compile(r":|\.\.")
_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "a word", tuple: "a list of words"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a grid: its name, the kind of its values (int, float, bool, str, tuple), whether none is one too."""

    name: str
    kind: type
    optional: bool = False

    @property
    def numeric(self) -> bool:
        """Whether its values can be given as ranges."""
        return self.kind in (int, float)


def names() -> list[str]:
    """Every name that a grid may use, second names too."""
    return [*KEYS, *ALIASES]


def read_value(key: Key, given: Any) -> Any:
    """The value that a text, or a value of a TOML file, stands for. Raises ValueError with a line for each problem."""
    value = _converted(key, given)
    if key.name in INTEGERS:
        low, high = INTEGERS[key.name]
        if not low <= value <= high:
            raise ValueError(_expected(key, given))
    field = FIELD_OF.get(key.name, key.name)
    if field not in OWN and (problems := value_problems(field, value)):
        raise ValueError("\n".join(problem.replace(field, key.name, 1) for problem in problems))
    return value


def _converted(key: Key, given: Any) -> Any:
    if key.optional and given == "none":
        return None
    kind = key.kind
    try:
        if kind is tuple:
            return _words(given)
        if kind is bool and isinstance(given, str):
            return {"true": True, "false": False}[given]
        if kind is float and isinstance(given, int | float | str) and not isinstance(given, bool):
            return float(given)
        if kind is int and isinstance(given, str):
            return int(given)
        if type(given) is kind:
            return given
    except (KeyError, ValueError):
        pass
    raise ValueError(_expected(key, given))


def _expected(key: Key, given: Any) -> str:
    span = " from {:,} to {:,}".format(*INTEGERS[key.name]) if key.name in INTEGERS else ""
    shown = given if isinstance(given, str) and given else repr(given)
    ranges = (
        " (a range is LOW:HIGH:STEP)" if key.numeric and isinstance(given, str) and _RANGE_SIGNS.search(given) else ""
    )
    return f"{key.name} must be {_WORDS[key.kind]}{span}{' or none' if key.optional else ''}, got {shown}{ranges}"


def _words(given: Any) -> tuple[str, ...]:
    """("bias", "equalize") of "bias+equalize" or of a list; () of none."""
    if isinstance(given, str):
        return () if given == "none" else tuple(given.split("+"))
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return tuple(given)
    raise ValueError


def _key(name: str, hint: Any) -> Key:
    """The key of a recipe's field with this type."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next(part for part in parts if part is not type(None))
    origin = typing.get_origin(kind)
    return Key(name, str if origin is typing.Literal else origin or kind, type(None) in parts)


def _keys() -> dict[str, Key]:
    hints = typing.get_type_hints(Recipe)
    of_recipe = {f.name: _key(f.name, hints[f.name]) for f in fields(Recipe) if f.name != "overrides"}
    own = {name: of_recipe[FIELD_OF[name]].optional if name in FIELD_OF else False for name in OWN}
    return {name: Key(name, OWN[name], optional) for name, optional in own.items()} | of_recipe


KEYS: dict[str, Key] = _keys()
"""name -> key. overrides are no key: they are written in the recipe that all runs share."""
