"""The digest of a run: everything that its row depends on, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep import digest as module
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.digest import digest

RUN = Configuration("net", "0123", 128, 7, plain(Recipe(rounding="gpfq")), False, {"bits": 3})


def of(seed: int = 7, **recipe: Any) -> str:
    return digest(replace(RUN, seed=seed, recipe=plain(Recipe(**recipe))))


@pytest.mark.parametrize(
    "change",
    [
        {"network": "other"},
        {"shared": "4567"},
        {"n_calibration": 127},
        {"seed": 8},
        {"integers": True},
        {"recipe": plain(Recipe(rounding="gpfq", weight_bits=3))},
        {"recipe": plain(Recipe(rounding="gpfq", overrides={"fc": {"weight_bits": 8}}))},
    ],
)
def test_whatever_changes_the_row_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest(replace(RUN, **change)) != digest(RUN)


def test_the_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(RUN)
    monkeypatch.setattr(module, "ROWS", 0)
    assert digest(RUN) != before
    monkeypatch.undo()
    monkeypatch.setattr(module, "__version__", "0.0.1")
    assert digest(RUN) != before


def test_how_the_grid_came_to_the_recipe_does_not_count() -> None:
    assert digest(replace(RUN, point={})) == digest(RUN)
    assert digest(replace(RUN, recipe=dict(reversed(RUN.recipe.items())))) == digest(RUN)


IDLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"lamb": 0.2}, {"regularizer": "L1", "rounding": "gpfq"}),
    ({"percentile": 0.9}, {"scalar": 1.5}),
    ({"percentile": 0.9}, {"overrides": {"fc": {"scalar": 1.5}}}),
    ({"fusion": False}, {"scalar": 1.5}),
    ({"error_correction": "weights"}, {"corrections": ("batch_norm",)}),
    ({"error_correction": "none"}, {"rounding": "gptq"}),
    ({"patches": "published"}, {"rounding": "descent"}),
    ({"patches": "published"}, {"weight_observer": "hessian"}),
    ({"order": "energy"}, {"rounding": "spfq"}),
    ({"damping": 0.1}, {"rounding": "gpfq+descent"}),
    ({"damping": 0.1}, {"rounding": "gptq"}),
    ({"seed": 8}, {"rounding": "gpfq"}),
    ({"seed": 8}, {"weight_observer": "hessian"}),
]


@pytest.mark.parametrize(("change", "reader"), IDLE)
def test_fields_count_where_something_reads_them(change: dict[str, Any], reader: dict[str, Any]) -> None:
    assert of(**change) == of()
    assert of(**change, **reader) != of(**reader)


def test_an_override_that_nothing_reads_is_none() -> None:
    assert of(overrides={"fc": {"percentile": 0.9}}) == of()
    read = [of(overrides={"fc": {"percentile": 0.9}, "*": {"scalar": 1.5}}), of(overrides={"*": {"scalar": 1.5}})]
    assert read[0] != read[1]


def test_the_order_of_overrides_counts_and_that_of_corrections_does_not() -> None:
    tables = {"*": {"weight_bits": 3}, "fc": {"weight_bits": 8}}
    assert of(overrides=tables) != of(overrides=dict(reversed(tables.items())))
    assert of(corrections=("bias", "equalize")) == of(corrections=("equalize", "bias"))


def test_another_process_finds_the_same_digest() -> None:
    script = (
        "from arithmos.lower.recipe import Recipe\n"
        "from arithmos.lower.recipe import plain\n"
        "from arithmos.sweep.configuration import Configuration\n"
        "from arithmos.sweep.digest import digest\n"
        "print(digest(Configuration('net', '0123', 128, 7, plain(Recipe(rounding='gpfq')), False, {})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(RUN)
