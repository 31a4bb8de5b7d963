"""The recipe: everything a quantization may choose, with its defaults, in one frozen value and one TOML file."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import tomlkit

from arithmos.errors import ArithmosError, UsageError
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.toml_fields import read_toml, refuse_unknown_keys, unknown_key
from arithmos.quant.observe import percentile

PER_NODE = ("weight_bits", "activation_bits", "weight_observer", "activation_observer", "weight_scale")
"""The fields that an override may set for some nodes."""

POLYNOMIAL_FIELDS = frozenset(f.name for f in fields(PolynomialRecipe))

CORRECTIONS = ("equalize", "bias", "batch_norm")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a float graph becomes integers. One value for all its stages, because a bundle keeps it as one file.

    `Recipe(method="composite", alpha=12)`, or with any other fields of PolynomialRecipe alone, is a PolynomialRecipe:
    how a float graph becomes polynomials. One name for what the user writes, one value for each way.

    overrides: {glob on torch module path or value name: {field: value}}, fields of PER_NODE only; later globs win, and
    any of them goes before edge_bits. Raises UsageError with every unknown field and bad value.
    """

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Refuse unknown fields before the generated constructor meets them; the other recipe's make that one."""
        if given and given.keys() <= POLYNOMIAL_FIELDS:
            return PolynomialRecipe(**given)  # type: ignore[return-value]
        refuse_unknown(given, [f.name for f in fields(cls)])
        return object.__new__(cls)

    weight_bits: int = field(
        default=8,
        metadata={"help": "bits of weights, 1 to 8 (to 16 where no fast kernel is needed); 1: -1 and 1, 2: also 0"},
    )
    activation_bits: int = field(
        default=8, metadata={"help": "bits of the values between layers, 1 to 16; 1: 0 and 1, of both signs -1, 0, 1"}
    )
    edge_bits: int = field(
        default=8,
        metadata={
            "help": "bits of the inputs, and at least so many for weights and inputs of the first and last layers"
        },
    )
    weight_observer: str = field(
        default="auto", metadata={"help": "auto, minmax, mse, percentile:P; auto is minmax from 7 bits on, else mse"}
    )
    activation_observer: str = field(
        default="auto",
        metadata={
            "help": "auto, minmax, mse, percentile:P, or zkcnn (that prover's rule); auto: minmax from 7 bits on, "
            "mse at 5 and 6, then percentile:99.9"
        },
    )
    weight_scale: Literal["channel", "tensor"] = field(
        default="channel", metadata={"help": "one weight scale a channel, or one in all"}
    )
    scales: Literal["dyadic", "power_of_two"] = field(
        default="dyadic",
        metadata={"help": "dyadic, or power_of_two (with tensor scales and equal joins: shifts alone)"},
    )
    joins: Literal["fused", "equal"] = field(
        default="fused",
        metadata={"help": "residual joins: fused (one rounding) or equal (operands on one scale, the add is free)"},
    )
    multiplier_bits: int = field(default=24, metadata={"help": "requantize multipliers stay below 2**this"})
    rounding: Literal["nearest", "descent", "adaround"] = field(
        default="nearest",
        metadata={"help": "of weights: nearest, or learned on the layer's inputs: descent (fast), adaround"},
    )
    corrections: tuple[str, ...] = field(
        default=(),
        metadata={"help": "equalize (cross-layer equalisation), bias (bias correction), batch_norm (re-estimation)"},
    )
    overrides: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, metadata={"help": "fields for nodes that match a glob"}
    )

    def __post_init__(self) -> None:
        problems = _shape_problems(self) or _problems(self)
        if not problems:
            object.__setattr__(self, "corrections", tuple(self.corrections))
            frozen = {glob: MappingProxyType(dict(chosen)) for glob, chosen in self.overrides.items()}
            object.__setattr__(self, "overrides", MappingProxyType(frozen))
        if problems:
            raise UsageError(
                "this recipe cannot be followed",
                why="\n       ".join(problems),
                fix="the fields and their values are listed by `arithmos quantize --help`",
            )

    def at(self, *names: str) -> Recipe:
        """The recipe of one node, known by its module path and value name: the matching overrides applied in order."""
        chosen = self.chosen(*names)
        return dataclasses.replace(self, overrides={}, **chosen) if chosen else self

    def chosen(self, *names: str) -> dict[str, Any]:
        """What the overrides say of one node."""
        chosen: dict[str, Any] = {}
        for glob, values in self.overrides.items():
            if any(fnmatchcase(name, glob) for name in names if name):
                chosen |= values
        return chosen

    def follows(self, observer: str) -> bool:
        """Whether the activations of any node have this observer."""
        chosen = [values.get("activation_observer") for values in self.overrides.values()]
        return observer in (self.activation_observer, *chosen)

    @property
    def weight_observer_used(self) -> str:
        """The weight observer with auto resolved."""
        if self.weight_observer != "auto":
            return self.weight_observer
        return "minmax" if self.weight_bits >= 7 else "mse"

    @property
    def activation_observer_used(self) -> str:
        """The activation observer with auto resolved."""
        if self.activation_observer != "auto":
            return self.activation_observer
        return "minmax" if self.activation_bits >= 7 else "mse" if self.activation_bits >= 5 else "percentile:99.9"


CHOICES: dict[str, tuple[str, ...]] = {
    "weight_scale": ("channel", "tensor"),
    "scales": ("dyadic", "power_of_two"),
    "joins": ("fused", "equal"),
    "rounding": ("nearest", "descent", "adaround"),
}
OBSERVERS = {
    "weight_observer": ("auto", "minmax", "mse"),
    "activation_observer": ("auto", "minmax", "mse", "zkcnn"),
}
BIT_RANGES = {"weight_bits": (1, 16), "activation_bits": (1, 16), "edge_bits": (1, 16), "multiplier_bits": (8, 31)}


def _shape_problems(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    if not isinstance(recipe.corrections, tuple | list):
        problems.append(f"corrections must be a list, got {recipe.corrections!r}")
    if not isinstance(recipe.overrides, Mapping):
        return [*problems, f"overrides must be tables named by globs, got {recipe.overrides!r}"]
    return problems + [
        f"overrides.{glob!r} must be a table of fields, got {chosen!r}"
        for glob, chosen in recipe.overrides.items()
        if not isinstance(chosen, Mapping)
    ]


def _problems(recipe: Recipe) -> list[str]:
    known = [f.name for f in fields(Recipe)]
    problems = [problem for f in fields(Recipe) for problem in _value_problems(f.name, getattr(recipe, f.name))]
    for glob, chosen in recipe.overrides.items():
        for name, value in chosen.items():
            if name not in known:
                problems.append(f"overrides.{glob!r}: {unknown_key(name, PER_NODE)}")
            elif name not in PER_NODE:
                problems.append(
                    f"overrides.{glob!r}: '{name}' cannot differ between nodes (only {', '.join(PER_NODE)})"
                )
            problems += [f"overrides.{glob!r}: {problem}" for problem in _value_problems(name, value)]
    return problems


def _value_problems(name: str, value: Any) -> list[str]:
    if name in BIT_RANGES:
        low, high = BIT_RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            return [f"{name} must be an integer from {low} to {high}, got {value!r}"]
    if name in CHOICES and value not in CHOICES[name]:
        return [f"{name} must be one of {', '.join(CHOICES[name])}, got {value!r}"]
    if name == "corrections":
        return [
            f"there is no correction {c!r}, there are {', '.join(CORRECTIONS)}" for c in value if c not in CORRECTIONS
        ]
    known = OBSERVERS.get(name, ())
    if known and value not in known:
        try:
            percentile(str(value))
        except ArithmosError:
            return [f"{name} must be {', '.join(known)} or percentile:P with 0 < P <= 100, got {value!r}"]
    return []


def from_mapping(data: Mapping[str, Any], where: str = "") -> Recipe:
    """The recipe of a parsed TOML document. Raises UsageError naming every unknown key with the closest known one."""
    refuse_unknown(data, [f.name for f in fields(Recipe)], where)
    try:
        return Recipe(**data)
    except UsageError as error:
        raise UsageError(error.what, where=where, why=error.why, fix=error.fix) from error


def refuse_unknown(given: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
    """Raise UsageError naming every unknown key with the closest known one."""
    if mixed := [key for key in given if key not in known and key in POLYNOMIAL_FIELDS]:
        raise UsageError(
            "this recipe mixes integers and polynomials",
            where=where,
            why=f"{', '.join(mixed)} {'choose' if len(mixed) > 1 else 'chooses'} polynomials, the others integers",
            fix="make two recipes: one for ar.quantize, one for ar.approximate",
        )
    refuse_unknown_keys(given, known, "recipe", where)


def refuse_unmatched(recipe: Recipe, names: Collection[str]) -> None:
    """Raise UsageError naming every override whose glob matches none of the names, with the closest ones."""
    idle = [glob for glob in recipe.overrides if not any(fnmatchcase(name, glob) for name in names)]
    if not idle:
        return
    listed = []
    for glob in idle:
        close = difflib.get_close_matches(glob, sorted(names), n=3, cutoff=0.5)
        listed.append(f"'{glob}' matches nothing" + (f"; close are {', '.join(close)}" if close else ""))
    raise UsageError(
        f"{len(idle)} overrides of the recipe match no node",
        why="\n       ".join(listed),
        fix="`arithmos quantize --write-recipe FILE` lists every node",
    )


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a TOML file. Raises UsageError for a missing file, bad TOML, unknown keys and bad values."""
    return from_mapping(read_toml(path, "recipe"), str(path))


def as_toml(recipe: Recipe, nodes: Mapping[str, str] | None = None) -> str:
    """The recipe as TOML, every field with a comment; nodes {glob: op} become commented overrides to fill in."""
    document = tomlkit.document()
    for f in fields(Recipe):
        if f.name == "overrides":
            continue
        value = getattr(recipe, f.name)
        document.add(tomlkit.comment(f.metadata["help"]))
        document.add(f.name, list(value) if isinstance(value, tuple) else value)
    if recipe.overrides:
        document.add("overrides", {glob: dict(chosen) for glob, chosen in recipe.overrides.items()})
    for glob, op in (nodes or {}).items():
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(f'[overrides."{glob}"]  # {op}'))
        resolved = recipe.at(glob)
        for name in PER_NODE:
            document.add(tomlkit.comment(f"{name} = {tomlkit.item(getattr(resolved, name)).as_string()}"))
    return tomlkit.dumps(document)
