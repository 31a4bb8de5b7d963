"""Sizes: torch's symbolic sizes as extents of the IR, where -k stands for k times the batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from arithmos.ir.graph import Shape

FOLD_BATCH = 2
"""The batch size at which constants with a batch axis are evaluated: two samples, to see that they are the same."""


@dataclass(frozen=True, slots=True)
class Batches:
    """A size that is `multiple` times the batch, where a network uses it as a number."""

    multiple: int


class UnknownSize(Exception):
    """A size that is neither a number nor a multiple of the batch."""


@dataclass(frozen=True, slots=True)
class BatchSymbols:
    """The symbols that stand for the batch size: those on axis 0 of the inputs."""

    symbols: frozenset[Any]

    def extent(self, size: int | torch.SymInt) -> int:
        """n for a number, -k for k times the batch. Raises UnknownSize for anything else."""
        if isinstance(size, int):
            return size
        expression = size.node.expr
        if expression.is_Integer:
            return int(expression)
        if len(expression.free_symbols) == 1 and expression.free_symbols <= self.symbols:
            multiple = expression / next(iter(expression.free_symbols))
            if multiple.is_Integer and multiple > 0:
                return -int(multiple)
        if free_unbacked_symbols(size):
            raise UnknownSize("the number of its elements depends on values")
        raise UnknownSize(f"the size {expression} is neither a number nor a multiple of the batch")

    def shape(self, tensor: torch.Tensor) -> Shape:
        """The shape of a traced tensor. Raises UnknownSize, also where two axes hold the batch: samples would mix."""
        shape = tuple(self.extent(size) for size in tensor.shape)
        if sum(extent < 0 for extent in shape) > 1:
            raise UnknownSize(f"two axes of {tuple(map(str, tensor.shape))} grow with the batch, so it mixes samples")
        return shape


def symbols_of(sizes: Iterable[int | torch.SymInt]) -> frozenset[Any]:
    """The symbols in some sizes."""
    return frozenset().union(*(s.node.expr.free_symbols for s in sizes if isinstance(s, torch.SymInt)))


def batch_axis(shape: Shape) -> int | None:
    """The axis that holds the batch; None if there is none."""
    return next((axis for axis, extent in enumerate(shape) if extent < 0), None)


def at_fold_batch(shape: Shape) -> list[int]:
    """The shape with FOLD_BATCH samples."""
    return [extent if extent >= 0 else -extent * FOLD_BATCH for extent in shape]
