"""A call: one torch operation on its way into the graph, and the operands that its rule works with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arithmos.front.size import FOLD_BATCH, at_fold_batch, batch_axis
from arithmos.ir.build import Builder
from arithmos.ir.graph import Shape, Source
from arithmos.ir.ops.op import broadcast


class Refusal(Exception):
    """An operation cannot be expressed; preflight collects these and raises once with all of them."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.why, self.fix = why, fix


PER_SAMPLE = (
    "it works along the batch axis, and every sample must be computed by itself",
    "give every input the batch on axis 0 (batch_first=True) and work on the other axes",
)
"""Why and fix of everything that mixes samples."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A value of the graph that depends on the inputs."""

    name: str
    shape: Shape
    dtype: torch.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A tensor that is known while tracing; where its shape holds the batch it was evaluated for FOLD_BATCH samples."""

    tensor: torch.Tensor
    shape: Shape
    name: str

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of the elements."""
        return self.tensor.dtype


Tensor = Computed | Folded
Operand = Tensor | float | int | bool


def per_sample(x: Folded) -> torch.Tensor:
    """The part of a constant that one sample has. Raises Refusal if samples differ (an arange over the batch)."""
    axis = batch_axis(x.shape)
    if axis is None:
        return x.tensor
    first, second = x.tensor.chunk(FOLD_BATCH, dim=axis)
    if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(second)):
        raise Refusal("it depends on a sample's place in the batch", "compute it from the sample alone")
    return first


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """float64, float32 (also for narrower floats), integers or booleans in numpy. Raises Refusal for all else."""
    if tensor.dtype.is_complex or tensor.is_quantized or tensor.layout != torch.strided:
        raise Refusal(f"a constant holds {tensor.dtype}, {tensor.layout}", "use dense real tensors")
    narrow = tensor.dtype.is_floating_point and tensor.dtype not in (torch.float32, torch.float64)
    return np.asarray((tensor.float() if narrow else tensor).detach().cpu().numpy())


class Translation:
    """The graph under construction. A class because it has a lifetime: from the first input to the last output."""

    def __init__(self) -> None:
        self.builder = Builder("float")
        self._batched: list[str] = []
        self._constants: dict[tuple[object, ...], tuple[str, torch.Tensor]] = {}
        self._zeros = ""

    def input(self, name: str, shape: Shape, dtype: torch.dtype, source: Source = Source()) -> Computed:
        """An input of the network."""
        name = self.builder.input(name, shape, source=source)
        if shape and shape[0] < 0:
            self._batched.append(name)
        return Computed(name, shape, dtype)

    def constant(self, x: Folded, source: Source = Source()) -> str:
        """The constant of this tensor, made when it is first used; views of the same memory share it."""
        t = x.tensor
        key = (t.untyped_storage().data_ptr(), t.storage_offset(), tuple(t.shape), t.stride(), t.dtype)
        if key not in self._constants or t.numel() == 0:
            # The tensor is kept, for its address identifies it only as long as it lives.
            self._constants[key] = self.builder.constant(x.name, as_array(t), source=source), t
        return self._constants[key][0]

    def zeros(self, source: Source) -> str:
        """A value of shape (batch,) that is zero for every sample: it brings the batch size to constants."""
        if not self._zeros:
            if not self._batched:
                raise Refusal("no input has the batch on axis 0", "give an input with a batch axis")
            b, name = self.builder, self._batched[0]
            flat = (-1, -math.prod(b.values[name].shape))
            first = b.add("reshape", name, shape=flat, name="batch.samples", source=source)
            first = b.add("slice", first, slices=((1, 0, 1, 1),), name="batch.first", source=source)
            zero = b.add("clip", first, lo=0, hi=0, name="batch.zero", source=source)
            self._zeros = b.add("reshape", zero, shape=(-1,), name="batch.zeros", source=source)
        return self._zeros


@dataclass(frozen=True, slots=True)
class Call:
    """One torch operation: its value's name and source, the shapes of its outputs, and where it is translated."""

    translation: Translation
    name: str
    source: Source
    shapes: tuple[Shape, ...]
    dtype: torch.dtype

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return self.shapes[0]

    def emit(self, op: str, *operands: Operand, suffix: str = "", **attrs: Any) -> Computed:
        """Add a float op. The rule's last one has no suffix and takes the name of the call."""
        builder = self.translation.builder
        names = [self.named(x) for x in operands]
        name = builder.add(op, *names, name=self._suffixed(suffix), source=self.source, **attrs)
        return Computed(name, builder.values[name].shape, self.dtype)

    def join(self, op: str, *operands: Operand, suffix: str = "") -> Computed:
        """Add an op that broadcasts; a constant that is the same for every sample is not repeated for each."""
        slim = [self._slim(x) for x in operands]
        if broadcast(*map(shape_of, slim)) == broadcast(*map(shape_of, operands)):
            return self.emit(op, *slim, suffix=suffix)
        return self.emit(op, *operands, suffix=suffix)

    def constant(self, array: np.ndarray, suffix: str = "constant") -> Computed:
        """A constant that the rule made."""
        name = self.translation.builder.constant(self._suffixed(suffix), array, source=self.source)
        return Computed(name, array.shape, torch.float32)

    def scalar(self, number: float) -> Computed:
        """A constant of no axes: an integer where the number and the result are, else float64."""
        whole = isinstance(number, int) and not self.dtype.is_floating_point
        return self.constant(np.asarray(number, dtype=np.int64 if whole else np.float64))

    def _suffixed(self, suffix: str) -> str:
        return f"{self.name}.{suffix}" if suffix else self.name

    def _slim(self, x: Operand) -> Operand:
        if isinstance(x, Folded) and (axis := batch_axis(x.shape)) is not None and x.shape[axis] == -1:
            part = per_sample(x)
            return Folded(part, tuple(part.shape), x.name)
        return x

    def named(self, x: Operand) -> str:
        """The name of an operand in the graph; constants are made when they are first named."""
        if isinstance(x, Computed):
            return x.name
        if not isinstance(x, Folded):
            return self.scalar(x).name
        axis = batch_axis(x.shape)
        return self.translation.constant(x, self.source) if axis is None else self._for_each_sample(x, axis).name

    def _for_each_sample(self, x: Folded, axis: int) -> Computed:
        """A constant repeated for each sample: zeros that know the batch size, plus the part that one sample has."""
        part, count, rank = per_sample(x), -x.shape[axis], len(x.shape)
        split = (*x.shape[:axis], 1, count, *x.shape[axis + 1 :])
        zeros = Computed(self.translation.zeros(self.source), (-1,), x.dtype)
        column = tuple(-1 if a == axis else 1 for a in range(rank + 1))
        spread = self.emit("reshape", zeros, shape=column, suffix="zeros")
        every = self.emit("add", spread, Folded(part.reshape(split), split, x.name), suffix="samples")
        return self.emit("reshape", every, shape=x.shape, suffix="samples")


def shape_of(x: Operand) -> Shape:
    """The shape of an operand; a number has none."""
    return x.shape if isinstance(x, Computed | Folded) else ()


def dtype_of(x: Operand) -> torch.dtype:
    """The torch type of an operand."""
    if isinstance(x, Computed | Folded):
        return x.dtype
    return torch.bool if isinstance(x, bool) else torch.int64 if isinstance(x, int) else torch.float32


def axis_of(x: Tensor, dim: int) -> int:
    """The axis as a number from the front."""
    return dim % max(len(x.shape), 1)


def own_axis(x: Tensor, dim: int) -> int:
    """The axis as a number from the front. Raises Refusal if it holds the batch."""
    axis = axis_of(x, dim)
    if x.shape and x.shape[axis] < 0:
        raise Refusal(*PER_SAMPLE)
    return axis


def own_axes(x: Tensor, dims: int | Sequence[int] | None) -> tuple[int, ...]:
    """The axes that are meant, all of them for None. Raises Refusal if one holds the batch."""
    chosen = range(len(x.shape)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    return tuple(sorted(own_axis(x, dim) for dim in chosen))


def full(number: float, shape: Shape, dtype: torch.dtype, name: str) -> Folded:
    """A constant that holds one number everywhere."""
    return Folded(torch.full(at_fold_batch(shape), number, dtype=dtype), shape, name)
