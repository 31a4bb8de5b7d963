"""What one row of an op table holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.interval import Interval


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of an input when a node is built: its shape, its proven range, and the array if it is constant."""

    shape: Shape
    range: Interval
    array: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """An input of an example: its shape, the range its integers come from, and whether it must be a constant."""

    shape: Shape
    range: Interval = Interval(-128, 127)
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """One small use of an op. Law tests run it on random integers and every target is compared on it."""

    operands: tuple[Operand, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Op:
    """infer(*shapes, **attrs) -> shape; run(*arrays, **attrs) -> array; bound(*facts, **attrs) -> range.

    `infer` raises ShapeError where shapes do not fit. `run` serves floats and int64 alike. `bound` is None for ops
    that exist in float only; it must hold for every input in the given ranges, whatever the order of summation.
    """

    infer: Callable[..., Shape]
    run: Callable[..., np.ndarray]
    bound: Callable[..., Interval] | None = None
    examples: tuple[Example, ...] = ()


class ShapeError(Exception):
    """Shapes or attributes do not fit an op; the builder and the checker turn it into an error with the node's name."""


def expect(claim: bool, message: str) -> None:
    """Raise ShapeError(message) unless the claim holds."""
    if not claim:
        raise ShapeError(message)


def broadcast(*shapes: Shape) -> Shape:
    """The common shape: axes are aligned at the end and must be equal or 1."""
    rank = max(len(shape) for shape in shapes)
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    result = []
    for column in columns:
        extents = set(column) - {1}
        expect(len(extents) <= 1, f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(extents.pop() if extents else 1)
    return tuple(result)
