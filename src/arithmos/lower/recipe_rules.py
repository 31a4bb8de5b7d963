"""What the fields of a recipe may hold, alone and together: every problem as a sentence, none raised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from arithmos.errors import ArithmosError
from arithmos.lower.methods import METHODS
from arithmos.lower.toml_fields import unknown_key
from arithmos.quant.observe import percentile

PER_NODE = (
    "weight_bits",
    "activation_bits",
    "weight_observer",
    "activation_observer",
    "weight_scale",
    "scalar",
    "percentile",
)
"""The fields that an override may set for some nodes."""

CORRECTIONS = ("equalize", "bias", "batch_norm")

CHOICES: dict[str, tuple[str, ...]] = {
    "weight_scale": ("channel", "tensor"),
    "scales": ("dyadic", "power_of_two"),
    "joins": ("fused", "equal"),
    "rounding": tuple(METHODS),
    "levels": ("narrow", "published"),
    "error_correction": ("none", "weights", "activations"),
    "regularizer": ("none", "L1", "L0"),
    "patches": ("all", "published"),
    "order": ("natural", "energy"),
}
OBSERVERS = {
    "weight_observer": ("auto", "minmax", "mse", "hessian"),
    "activation_observer": ("auto", "minmax", "mse", "zkcnn"),
}
INTEGERS = {
    "weight_bits": (1, 16),
    "activation_bits": (1, 16),
    "edge_bits": (1, 16),
    "multiplier_bits": (8, 31),
    "learned_scale": (0, 10),
}
LEAST = 5e-324
"""The least positive number: what is above 0 is not below it."""

NUMBERS: dict[str, tuple[float, float, str]] = {
    "scalar": (LEAST, 1000, "a number above 0, at most 1000"),
    "percentile": (LEAST, 1, "a number above 0, at most 1"),
    "retain_rate": (LEAST, 1, "a number above 0, at most 1"),
    "lamb": (LEAST, math.inf, "a number above 0"),
    "damping": (0, math.inf, "a number, 0 or above"),
}
"""name: (at least, at most, in words)."""

OPTIONAL = ("scalar", "retain_rate")
BOOLEANS = ("fusion",)


def shape_problems(given: Mapping[str, Any]) -> list[str]:
    """What is no table and no list where one must be."""
    problems: list[str] = []
    corrections, overrides = given["corrections"], given["overrides"]
    if not isinstance(corrections, tuple | list):
        problems.append(f"corrections must be a list, got {corrections!r}")
    if not isinstance(overrides, Mapping):
        return [*problems, f"overrides must be tables named by globs, got {overrides!r}"]
    return problems + [
        f"overrides.{glob!r} must be a table of fields, got {chosen!r}"
        for glob, chosen in overrides.items()
        if not isinstance(chosen, Mapping)
    ]


def problems_of(given: Mapping[str, Any]) -> list[str]:
    """Every bad value of a recipe's fields, then of its overrides, then what does not go together."""
    problems = [problem for name, value in given.items() for problem in value_problems(name, value)]
    for glob, chosen in given["overrides"].items():
        for name, value in chosen.items():
            if name not in given:
                problems.append(f"overrides.{glob!r}: {unknown_key(name, PER_NODE)}")
            elif name not in PER_NODE:
                problems.append(
                    f"overrides.{glob!r}: '{name}' cannot differ between nodes (only {', '.join(PER_NODE)})"
                )
            problems += [f"overrides.{glob!r}: {problem}" for problem in value_problems(name, value)]
    if problems:
        return problems
    clashes = _clashes(given)
    for glob, chosen in given["overrides"].items():
        mixed = _clashes({**given, **chosen})
        clashes += [f"overrides.{glob!r}: {clash}" for clash in mixed if clash not in clashes]
    return clashes


def value_problems(name: str, value: Any) -> list[str]:
    """What is wrong with the value of one field, as sentences."""
    if name in INTEGERS:
        low, high = INTEGERS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            return [f"{name} must be an integer from {low} to {high}, got {value!r}"]
    if name in NUMBERS and not (value is None and name in OPTIONAL):
        least, most, words = NUMBERS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not least <= value <= most:
            return [f"{name} must be {words}, got {value!r}"]
    if name in BOOLEANS and not isinstance(value, bool):
        return [f"{name} must be true or false, got {value!r}"]
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


def _clashes(given: Mapping[str, Any]) -> list[str]:
    """What does not go together."""
    method, regularizer = METHODS[given["rounding"]], given["regularizer"]
    binary = given["weight_bits"] == 1 and given["levels"] == "narrow"
    problems = []
    if given["scalar"] is not None and given["weight_observer"] != "auto":
        problems.append("scalar and weight_observer both choose the weight steps: leave one of them out")
    if regularizer != "none" and method.solver != "gpfq":
        problems.append(f"regularizer {regularizer} needs rounding gpfq or gpfq+descent, got {given['rounding']}")
    if regularizer != "none" and binary:
        problems.append(
            f"regularizer {regularizer} needs a level 0: 1-bit weights are -1 and 1 (levels published: also 0)"
        )
    if not given["fusion"] and given["scalar"] is not None and given["weight_scale"] == "tensor":
        problems.append("fusion false needs weight_scale channel: folding gives each row a step of its own")
    if not given["fusion"] and regularizer != "none":
        problems.append(f"regularizer {regularizer} needs fusion: its threshold is one for all rows of folded weights")
    if given["learned_scale"] and not method.sees_samples:
        problems.append("learned_scale needs a rounding that is solved, got nearest")
    if given["learned_scale"] and given["scales"] == "power_of_two":
        problems.append("learned_scale needs scales dyadic: powers of two cannot follow it")
    if given["retain_rate"] is not None and not method.sees_samples:
        problems.append("retain_rate is of the windows a rounding is solved on, and rounding is nearest")
    return problems
