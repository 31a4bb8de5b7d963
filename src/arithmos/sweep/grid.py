"""Grids: {key: values}, read from texts such as "bits=1-8" or from TOML, and their points: the full product."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from arithmos.errors import UsageError
from arithmos.lower.toml_fields import unknown_key
from arithmos.sweep.keys import ALIASES, KEYS, Key, names, read_value

MOST_RUNS = 1_000_000
"""A larger product is taken for a slip: of one run a second it would last twelve days."""

Grid = Mapping[str, tuple[Any, ...]]

_NUMBER = r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_INTEGERS = re.compile(r"(\d+)-(\d+)")
_STEPS = re.compile(rf"({_NUMBER})(?::|\.\.)({_NUMBER}):({_NUMBER})")


def spread(text: str) -> list[str]:
    """The numbers that a text stands for, as texts: "1-3,8" is 1, 2, 3, 8 and "1:2:0.05" is 1, 1.05, … 2: 21 of them.

    LOW-HIGH are integers, LOW:HIGH:STEP (or LOW..HIGH:STEP) starts at LOW and ends at or before HIGH, in decimal
    arithmetic: no value is off by a rounding error. Raises ValueError for steps of 0, for ranges that go down, and for
    those that are too long.
    """
    return [value for part in text.split(",") if text.strip() for value in _part(part.strip())]


def _part(text: str) -> list[str]:
    if found := _INTEGERS.fullmatch(text):
        low, high, step = Decimal(found[1]), Decimal(found[2]), Decimal(1)
    elif found := _STEPS.fullmatch(text):
        low, high, step = (Decimal(number) for number in found.groups())
    else:
        return [text]
    if not step:
        raise ValueError(f"the range {text} has a step of 0")
    if high < low:
        raise ValueError(f"the range {text} goes down: write it from {high} to {low}")
    n = int((high - low) / step) + 1
    if n > MOST_RUNS:
        raise ValueError(f"the range {text} has {n:,} values, more than the {MOST_RUNS:,} runs of the largest sweep")
    return [str(low + i * step) for i in range(n)]


def grid_of(table: Mapping[str, Any], items: Sequence[str] = (), where: str = "") -> dict[str, tuple[Any, ...]]:
    """The grid of a TOML file's table and of KEY=VALUES texts, which go before the table's.

    Values of a key are kept in their order, each once. Raises UsageError with every unknown key ("did you mean"), every
    value that its key cannot have, every key given twice; and where the product has no run, or too many.
    """
    given, problems = _named(table, items)
    grid: dict[str, tuple[Any, ...]] = {}
    for name, values in given.items():
        found, bad = _values(KEYS[name], values)
        grid[name], problems = found, problems + bad
    n = math.prod(map(len, grid.values()))
    if not problems and not grid:
        problems.append("no key is given: a grid of zero runs")
    if not problems and n == 0:
        problems += [f"{name} has no value: a grid of zero runs" for name, values in grid.items() if not values]
    if not problems and n > MOST_RUNS:
        problems.append(f"the product has {n:,} runs, the largest sweep {MOST_RUNS:,}")
    if problems:
        raise UsageError(
            "this grid cannot be run",
            where=where,
            why="\n".join(problems),
            fix="for example --grid bits=1-8 scalar=1.0:2.0:0.05 method=gpfq,spfq; the keys are the fields of a recipe "
            "and bits, method, lambda, stochastic, mlp_scalar, cnn_scalar, mlp_percentile, cnn_percentile, "
            "n_calibration, seed, network",
        )
    return grid


def points(grid: Grid) -> Iterator[dict[str, Any]]:
    """Every combination of values, the last key changing fastest."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _named(table: Mapping[str, Any], items: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """({key: what was given for it}, problems), keys by their first names."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    texts = [item.partition("=")[::2] for item in items if "=" in item]
    problems += [f"'{item}' is not KEY=VALUES" for item in items if "=" not in item]
    for pairs in (table.items(), texts):
        seen: set[str] = set()
        for spelled, values in pairs:
            name = ALIASES.get(spelled.strip(), spelled.strip())
            if name not in KEYS:
                problems.append(unknown_key(name, names()))
            elif name in seen:
                problems.append(f"{name} is given twice")
            else:
                found[name] = values
            seen.add(name)
    return found, problems


def _values(key: Key, given: Any) -> tuple[tuple[Any, ...], list[str]]:
    """(the values of a key, each once; problems)."""
    found, problems = [], []
    listed = given if isinstance(given, list) else [given]
    for one in listed:
        try:
            texts = (spread(one) if key.numeric else _split(one)) if isinstance(one, str) else [one]
        except ValueError as error:
            problems.append(f"{key.name}: {error}")
            continue
        for text in texts:
            try:
                found.append(read_value(key, text))
            except ValueError as error:
                problems.append(str(error))
    return tuple(dict.fromkeys(found)), problems


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []
