"""Factors: real numbers as a fixed coefficient times powers of steps, so that every constant knows its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Step:
    """A step by its owner: a float value (its grid's), or "LAYER.weight". `size` is one number, or one a row."""

    owner: str
    size: np.ndarray = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """coefficient * product of step ** power; coefficient and sizes (float64) broadcast against each other."""

    coefficient: np.ndarray
    powers: Mapping[Step, int]

    @property
    def array(self) -> np.ndarray:
        """The numbers."""
        return product(self.coefficient, ((step.size, power) for step, power in self.powers.items()))

    @property
    def inverse(self) -> Factor:
        """1 / self."""
        return Factor(1.0 / self.coefficient, {step: -power for step, power in self.powers.items()})

    @property
    def number(self) -> Factor | None:
        """The factor as one number where all its elements are equal, else None.

        Steps that are one a row and equal by chance become part of the coefficient: they are no one step.
        """
        array = self.array
        if not array.size or not np.all(array == array.flat[0]):
            return None
        rows = [step for step in self.powers if step.size.size > 1]
        fixed = product(self.coefficient, ((step.size, self.powers[step]) for step in rows))
        if not np.all(fixed == fixed.flat[0]):
            return constant(array.flat[0])
        shared = {Step(s.owner, s.size.reshape(())): p for s, p in self.powers.items() if s.size.size == 1}
        return Factor(np.asarray(fixed.flat[0]), shared)

    def __mul__(self, other: Factor | np.ndarray | float) -> Factor:
        """self * other."""
        if not isinstance(other, Factor):
            return Factor(np.asarray(self.coefficient * other), self.powers)
        powers = {s: self.powers.get(s, 0) + other.powers.get(s, 0) for s in (*self.powers, *other.powers)}
        kept = {step: power for step, power in powers.items() if power}
        return Factor(np.asarray(self.coefficient * other.coefficient), kept)

    def __truediv__(self, other: Factor) -> Factor:
        """self / other."""
        powers = {s: self.powers.get(s, 0) - other.powers.get(s, 0) for s in (*self.powers, *other.powers)}
        kept = {step: power for step, power in powers.items() if power}
        return Factor(np.asarray(self.coefficient / other.coefficient), kept)

    def __add__(self, other: Factor) -> Factor:
        """self + other: one factor of the same steps, or fixed numbers."""
        if self.powers == other.powers:
            return Factor(np.asarray(self.coefficient + other.coefficient), self.powers)
        return constant(self.array + other.array)

    def __float__(self) -> float:
        """The one number it is."""
        return float(self.array)


def constant(numbers: np.ndarray | float) -> Factor:
    """Fixed numbers, of no step."""
    return Factor(np.asarray(numbers, dtype=np.float64), {})


def of_step(owner: str, size: np.ndarray | float) -> Factor:
    """A step itself."""
    return Factor(np.asarray(1.0), {Step(owner, np.asarray(size, dtype=np.float64)): 1})


def product(source: np.ndarray, powers: Iterable[tuple[np.ndarray, int]]) -> np.ndarray:
    """(source * product of steps ** power, power > 0) / product of steps ** -power, power < 0, in float64.

    The one order of operations. Steps of 24 significant bits make each product of two exact.
    """
    above, below = np.asarray(1.0), np.asarray(1.0)
    for size, power in powers:
        if power > 0:
            above = above * size**power
        else:
            below = below * size**-power
    for other, combined in ((above, np.multiply), (below, np.divide)):
        if other.ndim or other != 1:  # a factor of 1 changes nothing, and layers of 100 million weights exist
            source = combined(source, other)
    return np.asarray(source)
