"""What lies in a bundle beside its graph: the facts in report.json, the recipe, and inputs to run it on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from arithmos.errors import UsageError
from arithmos.ir.border import admit
from arithmos.ir.codec import GOLDEN_FILE
from arithmos.ir.graph import Graph
from arithmos.train.data.array import Inputs, load_array
from arithmos.train.data.preparation import Preparation

_KINDS: dict[str, type] = {
    **dict.fromkeys(("origin", "preparation", "environment", "cost", "accuracy", "verification"), dict),
    **dict.fromkeys(("deviation", "settings", "attribution", "allocation"), dict),
    **dict.fromkeys(("layers", "steps"), list),
    "name": str,
}
"""What the facts are made of, where they are there."""
_JSON_NAMES = {"dict": "object", "list": "list", "str": "text"}
_PREPARATION = {field.name for field in fields(Preparation)}


def read_facts(bundle: Path) -> dict[str, Any]:
    """The document in report.json; empty where there is none. Raises UsageError if it is damaged."""
    file = bundle / "report.json"
    if not file.is_file():
        return {}
    try:
        document = json.loads(file.read_text())
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(document, dict):
        raise _damaged(file, "it is not a JSON object")
    wrong = [key for key, kind in _KINDS.items() if not isinstance(document.get(key), kind | None)]
    if wrong:
        raise _damaged(file, ", ".join(f"'{key}' is no {_JSON_NAMES[_KINDS[key].__name__]}" for key in wrong))
    return document


def read_recipe_text(bundle: Path) -> str:
    """The text of recipe.toml; empty where there is none."""
    file = bundle / "recipe.toml"
    return file.read_text() if file.is_file() else ""


def preparation_of(facts: dict[str, Any]) -> Preparation:
    """How this bundle's pictures become inputs; pixels in [0, 1] where it does not say."""
    stored = facts.get("preparation")
    if not isinstance(stored, dict):
        return Preparation()
    known: dict[str, Any] = {
        key: tuple(x) if isinstance(x, list) else x for key, x in stored.items() if key in _PREPARATION
    }
    return Preparation(**known)


def read_inputs(path: Path, facts: dict[str, Any]) -> Inputs:
    """Inputs from a file: arrays as they are, pictures prepared as the bundle says."""
    return load_array(path, preparation_of(facts))


def golden_inputs(bundle: Path, net: Graph) -> dict[str, np.ndarray]:
    """The inputs of the bundle's golden values. Raises UsageError where they are missing, damaged or do not fit."""
    return _fitting(bundle, net, lambda tensors: {name: tensors.get_tensor(name) for name in net.inputs})


def golden_values(bundle: Path, net: Graph) -> dict[str, np.ndarray]:
    """Every golden value of the bundle, inputs among them. Raises UsageError as `golden_inputs`."""
    return _fitting(bundle, net, lambda tensors: {name: tensors.get_tensor(name) for name in sorted(tensors.keys())})


def _fitting(bundle: Path, net: Graph, read: Callable[[Any], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    file = bundle / GOLDEN_FILE
    try:
        with safe_open(file, framework="np") as tensors:
            arrays = read(tensors)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:  # numpy lacks some types
        raise _damaged(file, str(error)) from error
    try:
        admit(net, {name: arrays[name] for name in net.inputs if name in arrays})
    except UsageError as error:
        raise UsageError(
            "the golden inputs do not fit the network",
            where=str(file),
            why=error.why,
            fix="make the bundle again with `arithmos quantize`",
        ) from error
    return arrays


def _damaged(file: Path, why: str) -> UsageError:
    return UsageError("a file of the bundle cannot be read", where=str(file), why=why, fix="make the bundle again")
