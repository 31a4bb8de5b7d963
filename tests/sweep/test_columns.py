"""Columns: the published ones first and as published, rows of every column as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arithmos.lower.recipe import Recipe, plain
from arithmos.sweep.columns import COLUMNS, N_PUBLISHED, NAMES, SETTINGS, SHORT, row_of, settings
from arithmos.sweep.configuration import Configuration, recipe_at
from arithmos.sweep.digest import digest

PUBLISHED = (
    "Model Name, Dataset, Quantization Batch Size, Original Top1 Accuracy, Quantized Top1 Accuracy, "
    "Original Top5 Accuracy, Quantized Top5 Accuracy, Bits, MLP_Alphabet_Scalar, CNN_Alphabet_Scalar, MLP_Percentile, "
    "CNN_Percentile, Stochastic Quantization, Regularizer, Lambda, Original Sparsity, Quantized Sparsity, Retain_rate, "
    "Fusion, Seed"
)


def configuration(point: dict[str, Any] | None = None, *, integers: bool = False, **base: Any) -> Configuration:
    recipe = recipe_at(point or {}, plain(Recipe(**base)), {"conv": ["conv1"], "linear": ["fc"]})
    return Configuration("net", "0123", 128, 7, recipe, integers, point or {})


def test_the_published_columns_come_first_in_their_order() -> None:
    assert ", ".join(NAMES[:N_PUBLISHED]) == PUBLISHED
    assert len(set(NAMES)) == len(NAMES) and len({column.short for column in COLUMNS}) == len(COLUMNS)
    assert SHORT["accuracy"].name == "Quantized Top1 Accuracy" and SHORT["scalar"] is SHORT["cnn_scalar"]


def test_settings_of_the_published_program() -> None:
    base = {"levels": "published", "patches": "published", "percentile": 0.9, "error_correction": "weights"}
    point = {"bits": 3, "scalar": 1.16, "rounding": "gpfq", "stochastic": True}
    assert settings(configuration(point, **base)) == {
        "Quantization Batch Size": 128,
        "Bits": 3,
        "MLP_Alphabet_Scalar": 1.16,
        "CNN_Alphabet_Scalar": 1.16,
        "MLP_Percentile": 0.9,
        "CNN_Percentile": 0.9,
        "Stochastic Quantization": True,
        "Regularizer": "none",
        "Lambda": None,
        "Retain_rate": 0.25,
        "Fusion": True,
        "Seed": 7,
        "Method": "spfq",
        "Levels": "published",
        "Step Rule": "scalar",
        "Error Correction": "weights",
        "Order": "natural",
        "BN Reestimated": False,
        "Learned Scale": 0,
        "Activation Bits": None,
    }


def test_settings_of_our_own() -> None:
    found = settings(configuration({"bits": 2, "activation_bits": 4}, integers=True, corrections=("batch_norm",)))
    assert tuple(found) == SETTINGS
    assert (found["Step Rule"], found["Error Correction"], found["Activation Bits"]) == ("mse", "none", 4)
    assert found["BN Reestimated"] is True and found["CNN_Percentile"] is None and found["Retain_rate"] is None
    sparse = settings(configuration({"mlp_scalar": 2.0, "lamb": 0.2}, rounding="gpfq", regularizer="L1"))
    assert (sparse["MLP_Alphabet_Scalar"], sparse["CNN_Alphabet_Scalar"], sparse["Lambda"]) == (2.0, None, 0.2)
    assert (sparse["Regularizer"], sparse["Step Rule"]) == ("L1", "scalar")


def test_what_the_recipe_says_of_all_layers_is_what_the_row_says() -> None:
    overrides = {"fc": {"weight_bits": 8}, "*": {"weight_bits": 3, "activation_bits": 4, "scalar": 1.5}}
    found = settings(configuration(integers=True, overrides=overrides))
    assert (found["Bits"], found["Activation Bits"], found["CNN_Alphabet_Scalar"]) == (3, 4, 1.5)
    assert (found["CNN_Percentile"], found["Step Rule"]) == (1.0, "scalar")
    assert settings(configuration({"bits": 2}, overrides=overrides))["Bits"] == 2
    assert settings(configuration(overrides={"*": {"weight_bits": 3}}))["Step Rule"] == "mse"


def test_a_row_has_every_column_as_plain_data() -> None:
    measured = {
        "Model Name": "resnet20",
        "Quantized Top1 Accuracy": np.float64(0.912349),
        "Gram Images": np.int64(512),
        "Mean Layer Error": float("nan"),
        "Wall Seconds": 1.23456,
    }
    run = configuration({"bits": 2})
    row = row_of(run, measured)
    assert tuple(row) == NAMES and row["Digest"] == digest(run) and row["Status"] == "done"
    assert (row["Model Name"], row["Quantized Top1 Accuracy"], row["Wall Seconds"]) == ("resnet20", 0.9123, 1.23)
    assert type(row["Gram Images"]) is int and type(row["Quantized Top1 Accuracy"]) is float
    assert row["Mean Layer Error"] is None and row["Integer Top1 Accuracy"] is None


def test_a_run_that_failed_has_its_settings() -> None:
    row = row_of(configuration({"bits": 2}), {}, "it ran out of memory")
    assert (row["Model Name"], row["Bits"], row["Status"]) == ("net", 2, "it ran out of memory")


def test_a_column_that_there_is_not_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="Acuracy"):
        row_of(configuration(), {"Acuracy": 1})
