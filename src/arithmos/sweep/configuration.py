"""The configuration of one run: its network and data, its seed, and a whole recipe, made of a point of the grid."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph
from arithmos.lower.all_layers import of_all_layers
from arithmos.lower.quantize import prepare
from arithmos.lower.recipe import Recipe
from arithmos.lower.recipe_rules import shape_problems, value_problems
from arithmos.sweep.keys import FIELD_OF, OWN
from arithmos.sweep.relevant import READ, is_read

N_SHOWN = 12
"""Problems of combinations that an error lists."""

Layers = Mapping[str, Sequence[str]]
"""{"conv": names of values, "linear": names of values}: what cnn_ and mlp_ keys go to."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One run, as plain data that any process can be given.

    network: its name in the table of results; shared: the key of its graph and images in the folder of shared data.
    recipe: every field of Recipe. integers: whether the integer network is made and measured too. point: what the grid
    chose, for people.
    """

    network: str
    shared: str
    n_calibration: int
    seed: int
    recipe: dict[str, Any]
    integers: bool
    point: dict[str, Any]


def recipe_at(point: Mapping[str, Any], base: Mapping[str, Any], layers: Layers) -> dict[str, Any]:
    """The fields of the recipe at a point of the grid: the base's with the point's over them, not yet checked.

    bits go into the override of all nodes, before those of single layers; mlp_ and cnn_ keys become overrides of every
    linear and conv layer, after them. base: of the right shape, as `check_base` wants it.
    """
    recipe = {**base, **{key: value for key, value in point.items() if key not in OWN}}
    overrides = {pattern: dict(chosen) for pattern, chosen in base["overrides"].items()}
    if "bits" in point:
        recipe["weight_bits"] = point["bits"]
        overrides = of_all_layers(point["bits"], overrides)
    for key in FIELD_OF.keys() & point.keys():
        for name in layers["linear" if key.startswith("mlp_") else "conv"]:
            pattern = glob.escape(name)
            overrides[pattern] = {**overrides.pop(pattern, {}), FIELD_OF[key]: point[key]}
    if point.get("stochastic") and recipe["rounding"].startswith("gpfq"):
        recipe["rounding"] = recipe["rounding"].replace("gpfq", "spfq")
    return recipe | {"overrides": overrides}


def check_base(base: Mapping[str, Any], where: str = "") -> None:
    """Raise UsageError with every field that cannot have its value, whatever a grid chooses beside it."""
    problems = shape_problems(base) or [
        problem for name, value in base.items() for problem in value_problems(name, value)
    ]
    if problems:
        raise UsageError(
            "the recipe that all runs share cannot be followed",
            where=where,
            why="\n".join(problems),
            fix="the fields and their values are listed by `arithmos sweep --help`",
        )


def check_points(points: Iterable[Mapping[str, Any]], base: Mapping[str, Any], named: Iterable[str] = ()) -> None:
    """Raise UsageError with what does not go together in any of the recipes, each problem once, with its first point.

    points: of a grid whose values are each right alone. named: what was asked for, each to be read in one run at least.
    """
    layers = {"conv": ["conv layers"], "linear": ["linear layers"]}
    found: dict[str, str] = {}
    idle = set(READ) & set(named)
    for point in points:
        recipe, problems = _recipe(point, base, layers)
        idle = {key for key in idle if recipe is not None and not is_read(key, recipe)}
        for problem in problems:
            found.setdefault(problem, said(point))
    lines = [f"{problem} (first at {where})" for problem, where in found.items()]
    if not lines:
        lines = [f"{key} changes nothing in any run: it is read where {READ[key][0]}" for key in READ if key in idle]
    if lines:
        more = [f"and {len(lines) - N_SHOWN} more"] if len(lines) > N_SHOWN else []
        raise UsageError(
            "some of these runs cannot be",
            why="\n".join([*lines[:N_SHOWN], *more]),
            fix="leave those values out, or make two sweeps",
        )


def said(point: Mapping[str, Any]) -> str:
    """A point for people: "bits=3 scalar=1.05"."""
    return " ".join(f"{key}={shown(value)}" for key, value in point.items()) or "the only run"


def shown(value: Any) -> str:
    """A value as a grid is given it."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else "none" if value is None else str(value)


def layers_of(graph: Graph) -> dict[str, list[str]]:
    """The names of its convolutions and linear layers as a recipe's overrides see them."""
    nodes = prepare(graph).nodes
    return {op: [node.output for node in nodes if node.op == op] for op in ("conv", "linear")}


def _recipe(point: Mapping[str, Any], base: Mapping[str, Any], layers: Layers) -> tuple[Recipe | None, list[str]]:
    """(the recipe at a point, or None; what is wrong with it)."""
    recipe = recipe_at(point, base, layers)
    problems = []
    if "bits" in point and "weight_bits" in point:
        problems.append("bits and weight_bits both choose the bits of weights: leave one out")
    if "stochastic" in point and not recipe["rounding"].startswith("spfq" if point["stochastic"] else "gpfq"):
        wanted, was = ("gpfq or spfq" if point["stochastic"] else "gpfq"), recipe["rounding"]
        problems.append(f"stochastic {shown(point['stochastic'])} goes with rounding {wanted}, not {was}")
    try:
        return Recipe(**recipe), problems
    except UsageError as error:
        return None, problems + [line.strip() for line in error.why.split("\n")]
