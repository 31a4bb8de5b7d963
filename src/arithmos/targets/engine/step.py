"""The steps of a program: what the kernels compute, in plain integers and shapes, before it is packed for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.ir.interval import Interval, signed, unsigned

BYTES = (unsigned(8), signed(8))
WORD = signed(32)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One value for a block of images: (channels, height, breadth), in bytes if the range allows it, else int32.

    compact: bytes of at most 4 channels take 4 bytes a pixel, not 16. Convolutions and joins cannot write it.
    """

    channels: int
    height: int
    breadth: int
    range: Interval
    compact: bool = False

    @property
    def width(self) -> int:
        """Bytes of an element: 1 or 4."""
        return 1 if any(self.range in r for r in BYTES) else 4

    @property
    def zero(self) -> int:
        """How the integer 0 is stored: 128 in signed bytes, which keep x + 128; else 0."""
        return 128 if self.width == 1 and self.range.lo < 0 else 0

    @property
    def padded(self) -> int:
        """Channels with padding: a multiple of 16, or 4 in a compact tensor."""
        return 4 if self.compact else -(-self.channels // 16) * 16


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """multiplier[c] * tensor[c + channel, y * stride[0], x * stride[1]]; the multiplier is 0 beyond the channels."""

    tensor: Tensor
    multiplier: np.ndarray
    stride: tuple[int, int] = (1, 1)
    channel: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Requantize:
    """clip((acc * multiplier[c] + sum of terms + constant[c] + 2**(shift-1)) >> shift, lo, hi).

    acc: the proven range of the accumulator; multiplier, constant: int64 per output channel.
    """

    acc: Interval
    multiplier: np.ndarray
    shift: int
    lo: int
    hi: int
    terms: tuple[Term, ...] = ()
    constant: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """tensor = array number `external` of the call; pitches of its axes (image, channel, y, x) in elements."""

    tensor: Tensor
    external: int
    dtype: str
    pitches: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """Array number `external` of the call = tensor."""

    tensor: Tensor
    external: int
    dtype: str
    pitches: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """out = requantize(bias + sum of weight * input), or the accumulator itself without `requantize`.

    weight: (out channels, input channels / groups, kernel y, kernel x), int8 range; padding: zeros above the top row
    and left of the first column (those behind follow from the shapes).
    """

    input: Tensor
    output: Tensor
    weight: np.ndarray
    bias: np.ndarray | None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    requantize: Requantize | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """out = requantize of an int32 tensor, or of the terms alone where there is none (no multiplier is read then)."""

    input: Tensor | None
    output: Tensor
    requantize: Requantize


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """out[c + first] = input[c]: one part of a concatenation."""

    input: Tensor
    output: Tensor
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """out = maximum or sum over windows; padding is absent. Sums come as int32, maxima in the type of their bytes."""

    kind: str
    input: Tensor
    output: Tensor
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """out = entries[x - offset]; both are bytes."""

    input: Tensor
    output: Tensor
    entries: np.ndarray
    offset: int


Step = Load | Store | Conv | Join | Copy | Pool | Table
