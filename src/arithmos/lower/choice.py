"""A choice: every step and every integer weight of a network, measured or learned: what is left is arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.lower.derived import along
from arithmos.quant.grid import Grid


@dataclass(frozen=True, slots=True, eq=False)
class WeightGrid:
    """weight ~ steps * integers row by row; bias in real units.

    steps: float64 of shape (rows,), or (1,) where all rows share one. integers: int64 of the weight's shape, within
    levels; odd: odd numbers alone. bias: float64 of shape (rows,) or None.
    """

    steps: np.ndarray
    levels: Interval
    integers: np.ndarray
    bias: np.ndarray | None = None
    odd: bool = False

    @property
    def weight(self) -> np.ndarray:
        """steps * integers: the weights that the integers stand for, in float64."""
        return np.asarray(self.integers * along(self.steps, -self.integers.ndim))


@dataclass(frozen=True, slots=True)
class LayerFit:
    """How the integers Q of a layer fit its weights W, on the vectors x they were solved on.

    columns: d; vectors: how many there were; dead: columns that are zero in all of them. relative_error:
    ||X W^T - X~ Q^T||_F / ||X W^T||_F, X~ of the network quantized so far and X of the float network (X~ where the
    method has no other target); None where nothing was solved. sparsity: share of zeros in Q. note: what a reader
    should know, "" for nothing.
    """

    columns: int
    vectors: int
    dead: int
    relative_error: float | None
    sparsity: float
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """grids: by float value; values that share a step have one owner. weights: by the value of a conv or linear, or
    by the name of a constant that a matmul multiplies. fits: by the value of a layer that samples passed through."""

    grids: Mapping[str, Grid]
    weights: Mapping[str, WeightGrid]
    fits: Mapping[str, LayerFit] = field(default_factory=dict)

    @property
    def steps(self) -> dict[str, np.ndarray]:
        """Every step by its owner: numbers, and (rows,) or (1,) for "LAYER.weight"."""
        steps = {grid.owner: np.asarray(grid.step) for grid in self.grids.values()}
        return steps | {weight_owner(name): grid.steps for name, grid in self.weights.items()}


def weight_owner(name: str) -> str:
    """The owner of the weight steps of a layer, or of a constant factor."""
    return f"{name}.weight"
