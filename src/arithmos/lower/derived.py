"""Derivations: how an integer constant follows from real numbers and steps. One formula, for lowering and training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.lower.factor import Factor, product
from arithmos.quant.grid import nearest_levels, round_half_up


@dataclass(frozen=True, slots=True)
class Derived:
    """constant = clip(floor(x + 1/2), levels), x = source * gain * product of step[owner] ** power.

    source: the name of a float constant of the prepared graph, or fixed numbers (2**shift included). powers: by the
    owner of a step: Grid.owner, or "LAYER.weight" for a layer's weight steps. A step of shape (rows,) stands along
    `axis` of the result, counted from the end. levels None: no clip. odd: clip(2 * floor(x / 2) + 1, levels) instead.
    """

    source: str | np.ndarray
    powers: Mapping[str, int]
    levels: Interval | None = None
    axis: int = -1
    gain: float = 1.0
    odd: bool = False

    def real(self, constants: Mapping[str, np.ndarray], steps: Mapping[str, np.ndarray]) -> np.ndarray:
        """source * gain * product of step ** power, in float64, by `product`'s order of operations."""
        source = constants[self.source] if isinstance(self.source, str) else self.source
        sized = ((along(steps[owner], self.axis), power) for owner, power in self.powers.items())
        real = np.asarray(source, dtype=np.float64)
        return product(real if self.gain == 1 else real * self.gain, sized)

    def integers(self, constants: Mapping[str, np.ndarray], steps: Mapping[str, np.ndarray]) -> np.ndarray:
        """The constant as int64. Raises RangeError where it has no levels and leaves 2**62."""
        real = self.real(constants, steps)
        if self.levels is None:
            return round_half_up(real)
        return nearest_levels(real, self.levels, odd=self.odd)


def along(step: np.ndarray, axis: int) -> np.ndarray:
    """A step of shape (rows,) with its rows along `axis`, counted from the end; a single number as it is."""
    return step.reshape(-1, *[1] * (-axis - 1)) if step.ndim else step


def fixed(factor: Factor) -> Derived:
    """The derivation of floor(factor + 1/2): the coefficient is fixed, the steps may change."""
    axis = -max((step.size.ndim for step in factor.powers), default=0)
    return Derived(factor.coefficient, owners(factor), axis=axis or -1)


def owners(factor: Factor) -> dict[str, int]:
    """The powers by owner."""
    return {step.owner: power for step, power in factor.powers.items()}


def narrow(array: np.ndarray) -> np.ndarray:
    """A scalar for an array of equal numbers, without leading axes of extent one: how constants are stored."""
    if array.size and np.all(array == array.flat[0]):
        return np.asarray(array.flat[0])
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return array
