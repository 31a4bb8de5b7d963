"""The columns of the results: the 20 of the published log first, in its order, then ours; and rows of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from arithmos.lower.all_layers import ALL
from arithmos.lower.methods import METHODS
from arithmos.lower.recipe import Recipe
from arithmos.lower.vectors import PUBLISHED_RATE
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.digest import digest

DONE = "done"
"""The status of a run that ended well; any other status is the sentence that says why it did not."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the files, its short name for rules, its kind, and the decimals it is rounded to."""

    name: str
    short: str
    kind: type
    decimals: int | None = None


COLUMNS = (
    Column("Model Name", "model", str),
    Column("Dataset", "dataset", str),
    Column("Quantization Batch Size", "n_calibration", int),
    Column("Original Top1 Accuracy", "original_accuracy", float, 4),
    Column("Quantized Top1 Accuracy", "accuracy", float, 4),
    Column("Original Top5 Accuracy", "original_top5", float, 4),
    Column("Quantized Top5 Accuracy", "top5", float, 4),
    Column("Bits", "bits", int),
    Column("MLP_Alphabet_Scalar", "mlp_scalar", float),
    Column("CNN_Alphabet_Scalar", "cnn_scalar", float),
    Column("MLP_Percentile", "mlp_percentile", float),
    Column("CNN_Percentile", "cnn_percentile", float),
    Column("Stochastic Quantization", "stochastic", bool),
    Column("Regularizer", "regularizer", str),
    Column("Lambda", "lambda", float),
    Column("Original Sparsity", "original_sparsity", float, 4),
    Column("Quantized Sparsity", "sparsity", float, 4),
    Column("Retain_rate", "retain_rate", float),
    Column("Fusion", "fusion", bool),
    Column("Seed", "seed", int),
    Column("Method", "method", str),
    Column("Levels", "levels", str),
    Column("Step Rule", "step_rule", str),
    Column("Error Correction", "error_correction", str),
    Column("Order", "order", str),
    Column("Gram Images", "gram_images", int),
    Column("BN Reestimated", "bn_reestimated", bool),
    Column("Learned Scale", "learned_scale", int),
    Column("Activation Bits", "activation_bits", int),
    Column("Integer Top1 Accuracy", "integer_accuracy", float, 4),
    Column("Bits per Weight", "bits_per_weight", float, 4),
    Column("Mean Layer Error", "mean_error", float, 6),
    Column("Max Layer Error", "max_error", float, 6),
    Column("Layer Errors", "layer_errors", str),
    Column("Wall Seconds", "seconds", float, 2),
    Column("Peak Memory MiB", "memory", float, 1),
    Column("Digest", "digest", str),
    Column("Status", "status", str),
)
N_PUBLISHED = 20
NAMES = tuple(column.name for column in COLUMNS)
TIMES = frozenset({"Wall Seconds", "Peak Memory MiB"})
"""Columns that differ when a run is made again."""

SETTINGS = (
    "Quantization Batch Size",
    "Bits",
    "MLP_Alphabet_Scalar",
    "CNN_Alphabet_Scalar",
    "MLP_Percentile",
    "CNN_Percentile",
    "Stochastic Quantization",
    "Regularizer",
    "Lambda",
    "Retain_rate",
    "Fusion",
    "Seed",
    "Method",
    "Levels",
    "Step Rule",
    "Error Correction",
    "Order",
    "BN Reestimated",
    "Learned Scale",
    "Activation Bits",
)
"""Columns that follow from the configuration alone."""

SHORT = {column.short: column for column in COLUMNS} | {
    second: next(c for c in COLUMNS if c.short == first)
    for second, first in {"scalar": "cnn_scalar", "percentile": "cnn_percentile", "rounding": "method"}.items()
}
"""short name -> column; scalar and percentile are those of convolutions."""


def settings(configuration: Configuration) -> dict[str, Any]:
    """The columns of SETTINGS: a run that fails has them too.

    What may differ between layers is as the recipe has it for all of them: in its override of "*", or else itself.
    """
    asked, point = Recipe(**configuration.recipe), configuration.point
    recipe = replace(asked, overrides={}, **asked.overrides.get(ALL, {}))
    method = METHODS[recipe.rounding]
    mlp, cnn = (point.get(f"{kind}_scalar", recipe.scalar) for kind in ("mlp", "cnn"))
    percentiles = {kind: point.get(f"{kind}_percentile", recipe.percentile) for kind in ("mlp", "cnn")}
    rate = PUBLISHED_RATE if recipe.patches == "published" else None
    return {
        "Quantization Batch Size": configuration.n_calibration,
        "Bits": recipe.weight_bits,
        "MLP_Alphabet_Scalar": mlp,
        "CNN_Alphabet_Scalar": cnn,
        "MLP_Percentile": None if mlp is None else percentiles["mlp"],
        "CNN_Percentile": None if cnn is None else percentiles["cnn"],
        "Stochastic Quantization": method.solver == "spfq",
        "Regularizer": recipe.regularizer,
        "Lambda": None if recipe.regularizer == "none" else recipe.lamb,
        "Retain_rate": rate if recipe.retain_rate is None else recipe.retain_rate,
        "Fusion": recipe.fusion,
        "Seed": configuration.seed,
        "Method": recipe.rounding,
        "Levels": recipe.levels,
        "Step Rule": recipe.weight_observer_used if mlp is None and cnn is None else "scalar",
        "Error Correction": recipe.error_correction if method.sees_samples else "none",
        "Order": recipe.order,
        "BN Reestimated": "batch_norm" in recipe.corrections,
        "Learned Scale": recipe.learned_scale,
        "Activation Bits": recipe.activation_bits if configuration.integers else None,
    }


def row_of(configuration: Configuration, measured: Mapping[str, Any], status: str = DONE) -> dict[str, Any]:
    """Every column of one run, as plain data: what was not measured, or is no finite number, is None."""
    known = {"Model Name": configuration.network, **settings(configuration), **measured}
    known |= {"Digest": digest(configuration), "Status": status}
    assert known.keys() <= set(NAMES), known.keys() - set(NAMES)
    return {column.name: _plain(column, known.get(column.name)) for column in COLUMNS}


def _plain(column: Column, value: Any) -> Any:
    """A value as its column has it: an int, float, bool or str of Python, or None."""
    if value is None or (column.kind is float and not math.isfinite(value)):
        return None
    exact = column.kind(value)
    return exact if column.decimals is None else round(exact, column.decimals)
