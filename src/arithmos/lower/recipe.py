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

from arithmos.errors import UsageError
from arithmos.lower.methods import METHODS, SOLVERS, Method, Rounding
from arithmos.lower.polynomial_recipe import PolynomialRecipe
from arithmos.lower.recipe_rules import PER_NODE, problems_of, shape_problems
from arithmos.lower.toml_fields import read_toml, refuse_unknown_keys

POLYNOMIAL_FIELDS = frozenset(f.name for f in fields(PolynomialRecipe))


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
        default="auto",
        metadata={
            "help": "auto, minmax, mse, percentile:P, or hessian (least error of the layer's outputs); auto is minmax "
            "from 7 bits on, else hessian where gpfq, spfq or gptq solves, else mse"
        },
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
    rounding: Rounding = field(
        default="nearest",
        metadata={
            "help": "of weights: nearest, or solved on the layer's inputs: " + ", ".join(list(METHODS)[1:]),
            "also": ("--method",),
        },
    )
    corrections: tuple[str, ...] = field(
        default=(),
        metadata={"help": "equalize (cross-layer equalisation), bias (bias correction), batch_norm (re-estimation)"},
    )
    levels: Literal["narrow", "published"] = field(
        default="narrow",
        metadata={"help": "of b-bit weights: narrow, 2^b - 1 that fit b bits, or published (GPFQ's papers), 2^b + 1"},
    )
    scalar: float | None = field(
        default=None,
        metadata={
            "help": "one weight step a layer, as published: scalar / last level * mean over its rows of the quantile "
            "`percentile` of |w|; by default weight_observer chooses"
        },
    )
    percentile: float = field(default=1.0, metadata={"help": "the quantile that goes with scalar, above 0; 1: largest"})
    fusion: bool = field(default=True, metadata={"help": "scalar sees weights with their batch norm folded in"})
    error_correction: Literal["none", "weights", "activations"] = field(
        default="activations",
        metadata={
            "help": "what a layer is solved on: inputs of the float network (none), of the network quantized so far in "
            "its weights, or in its activations too"
        },
    )
    regularizer: Literal["none", "L1", "L0"] = field(
        default="none", metadata={"help": "sparse weights by gpfq: soft (L1) or hard (L0) threshold lamb"}
    )
    lamb: float = field(
        default=0.1, metadata={"help": "threshold of the regularizer, in weights", "also": ("--lambda",)}
    )
    patches: Literal["all", "published"] = field(
        default="all",
        metadata={
            "help": "windows a convolution is solved on: all of its own (drawn from, where there are plenty), or "
            "published: apart from each other, drawn with replacement"
        },
    )
    retain_rate: float | None = field(
        default=None,
        metadata={"help": "share of the windows of an image; by default 0.25 of published ones, of all what is enough"},
    )
    learned_scale: int = field(
        default=0, metadata={"help": "how often weights are solved and steps fitted to them in turn, 0 to 10"}
    )
    order: Literal["natural", "energy"] = field(
        default="natural", metadata={"help": "columns are solved in their own order, or those of most energy first"}
    )
    damping: float = field(
        default=0.01, metadata={"help": "added to the diagonal of a Gram matrix, as a share of its mean; not by gpfq"}
    )
    overrides: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, metadata={"help": "fields for nodes that match a glob"}
    )

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(Recipe)}
        problems = shape_problems(given) or problems_of(given)
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
    def method(self) -> Method:
        """How weights are rounded."""
        return METHODS[self.rounding]

    @property
    def solves(self) -> bool:
        """Whether weights depend on the inputs of their layer, and not on their own numbers alone."""
        observers = {self.weight_observer_used, *(v.get("weight_observer") for v in self.overrides.values())}
        return self.method.sees_samples or "hessian" in observers

    @property
    def sees_samples(self) -> bool:
        """Whether samples must pass through the network."""
        return self.solves or "batch_norm" in self.corrections

    @property
    def damps(self) -> bool:
        """Whether the method inverts a Gram matrix, or descends on one: then its diagonal is made larger."""
        return self.method.descends or self.method.solver == "gptq"

    @property
    def weight_observer_used(self) -> str:
        """The weight observer with auto resolved."""
        if self.weight_observer != "auto":
            return self.weight_observer
        return "minmax" if self.weight_bits >= 7 else "hessian" if METHODS[self.rounding].solver in SOLVERS else "mse"

    @property
    def activation_observer_used(self) -> str:
        """The activation observer with auto resolved."""
        if self.activation_observer != "auto":
            return self.activation_observer
        return "minmax" if self.activation_bits >= 7 else "mse" if self.activation_bits >= 5 else "percentile:99.9"


def plain(recipe: Recipe) -> dict[str, Any]:
    """Every field of a recipe, overrides as ordinary tables."""
    overrides = {pattern: dict(chosen) for pattern, chosen in recipe.overrides.items()}
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe)} | {"overrides": overrides}


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
        if value is None:
            document.add(tomlkit.comment(f"{f.name} ="))
        else:
            document.add(f.name, list(value) if isinstance(value, tuple) else value)
    if recipe.overrides:
        document.add("overrides", {glob: dict(chosen) for glob, chosen in recipe.overrides.items()})
    for glob, op in (nodes or {}).items():
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(f'[overrides."{glob}"]  # {op}'))
        resolved = recipe.at(glob)
        for name in PER_NODE:
            default = getattr(resolved, name)
            document.add(tomlkit.comment(f"{name} = {tomlkit.item(default).as_string()}" if default else f"{name} ="))
    return tomlkit.dumps(document)
