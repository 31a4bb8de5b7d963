"""What lies in a bundle beside its graph: the facts in report.json, the recipe, and inputs to run it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from arithmos.errors import UsageError
from arithmos.ir.codec import GOLDEN_FILE
from arithmos.ir.graph import Graph
from arithmos.train.data.array import Inputs, load_array
from arithmos.train.data.preparation import Preparation


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
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    return Preparation(**fields)


def read_inputs(path: Path, facts: dict[str, Any]) -> Inputs:
    """Inputs from a file: arrays as they are, pictures prepared as the bundle says."""
    return load_array(path, preparation_of(facts))


def golden_inputs(bundle: Path, net: Graph) -> dict[str, np.ndarray]:
    """The inputs of the bundle's golden values. Raises UsageError where they are missing or damaged."""
    file = bundle / GOLDEN_FILE
    try:
        with safe_open(file, framework="np") as tensors:
            return {name: tensors.get_tensor(name) for name in net.inputs}
    except (OSError, SafetensorError) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, why: str) -> UsageError:
    return UsageError("a file of the bundle cannot be read", where=str(file), why=why, fix="make the bundle again")
