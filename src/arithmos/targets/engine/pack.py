"""Packing: weights and multipliers in the order of the kernels, and the proofs that their fast forms need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.ir.interval import Interval, signed
from arithmos.targets.engine.affine import LIMIT, magnitude
from arithmos.targets.engine.library import DOUBLE, FLOAT, INT64
from arithmos.targets.engine.step import Conv, Requantize, Tensor

LANES = 16
SIGNIFICAND = 1 << 24
"""Every integer up to here is a float32."""
EXACT = 1 << 53
"""Every integer up to here is a float64."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedConv:
    """weights and bias as the kernels read them; window: input channels of a block; channel: its first one."""

    weights: np.ndarray
    bias: np.ndarray
    window: int
    channel: np.ndarray | None
    depthwise: bool


@dataclass(frozen=True, slots=True, eq=False)
class PackedFinish:
    """The fields of struct finish. real, offset, term_reals: floats or doubles, None for the int64 form."""

    kind: int
    shift: int
    low: int
    high: int
    fits: bool
    multiplier: np.ndarray
    constant: np.ndarray
    real: np.ndarray | None
    offset: np.ndarray | None
    term_multipliers: tuple[np.ndarray, ...]
    term_reals: tuple[np.ndarray, ...]


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """The array with zeros behind its first axis up to `size`."""
    return np.concatenate([array, np.zeros((size - array.shape[0], *array.shape[1:]), dtype=array.dtype)])


def pack_conv(step: Conv, vectors: int, lanes_together: bool) -> PackedConv:
    """Weights as [pair of blocks][tap][4 channels][block][16 outputs][4 inputs], outputs and channels padded by zeros.

    The last two axes change places where the kernels want the lanes together.

    The kernels multiply stored bytes x + zero, so zero * sum(w) is taken off the bias.
    """
    weight = step.weight.astype(np.int64)
    out, per_group = weight.shape[:2]
    outputs = step.output.padded
    bias = np.zeros(out, dtype=np.int64) if step.bias is None else step.bias.astype(np.int64)
    bias = bias - step.input.zero * weight.reshape(out, -1).sum(axis=1)
    bias = _wrapped(padded(bias, outputs))
    if per_group == 1 and out == step.groups == step.input.channels and step.input.padded == outputs:
        return PackedConv(_shifted(weight[:, 0], step.dilation[1], outputs), bias, LANES, None, True)
    starts, window = _windows(step)
    blocks = outputs // LANES
    dense = np.zeros((outputs, window, *weight.shape[2:]), dtype=np.int8)
    for o in range(out):
        first = o // (out // step.groups) * per_group - starts[o // LANES]
        dense[o, first : first + per_group] = weight[o]
    taps = np.moveaxis(dense.reshape(blocks, LANES, window // 4, 4, -1), -1, 1)  # block, tap, output, quad, byte
    quads = np.moveaxis(taps, 2, 3)  # block, tap, quad, output, byte
    ordered = np.ascontiguousarray(quads.swapaxes(3, 4) if lanes_together else quads).reshape(blocks, -1, LANES * 4)
    if step.groups > 1:
        return PackedConv(ordered, bias, window, np.array(starts, dtype=np.int64), False)
    parts = [ordered[b : b + vectors].swapaxes(0, 1).ravel() for b in range(0, blocks - blocks % vectors, vectors)]
    parts += [ordered[b].ravel() for b in range(blocks - blocks % vectors, blocks)]
    return PackedConv(np.concatenate(parts), bias, window, None, False)


def _shifted(weight: np.ndarray, dilation: int, outputs: int) -> np.ndarray:
    """(channel, y, x) as [16 channels][y][shift -3 … reach - 1][channel][4 taps from the shift on]; see depthwise.h."""
    channels, rows, columns = weight.shape
    reach = (columns - 1) * dilation + 1
    apart = np.zeros((outputs, rows, reach + 6), dtype=np.int8)
    apart[:channels, :, 3 : 3 + reach : dilation] = weight
    taps = np.lib.stride_tricks.sliding_window_view(apart, 4, axis=2)  # channel, y, shift, tap
    return np.ascontiguousarray(np.moveaxis(taps.reshape(-1, LANES, rows, reach + 3, 4), 1, 3))


def _windows(step: Conv) -> tuple[list[int], int]:
    """(first input channel of every block of 16 outputs, channels that the widest block needs), both multiples of 4."""
    out, per_group = step.weight.shape[:2]
    if step.groups == 1:
        return [0] * (step.output.padded // LANES), step.input.padded
    per_output = out // step.groups
    starts, ends = [], []
    for block in range(0, step.output.padded, LANES):
        last = min(block + LANES, out) - 1
        starts.append(min(block, out - 1) // per_output * per_group // 4 * 4)
        ends.append((last // per_output + 1) * per_group)
    window = max(-(-(end - start) // 4) * 4 for start, end in zip(starts, ends, strict=True))
    return [min(start, step.input.padded - window) for start in starts], window


def _wrapped(bias: np.ndarray) -> np.ndarray:
    """Modulo 2**32: a bias may leave int32 on the way to a sum that is proven to lie in it."""
    return bias.astype(np.uint64).astype(np.uint32).view(np.int32)


def pack_finish(requantize: Requantize, output: Tensor) -> PackedFinish | None:
    """The requantization in stored numbers; None if a multiplier leaves int32 (the kernels cannot run it then).

    The float form is taken where it is proven to give the same integers (kernels/finish.h says why).
    """
    size, shift = output.padded, requantize.shift
    multiplier = _per_channel(requantize.multiplier, output.channels)
    terms = [(t, _per_channel(t.multiplier, output.channels)) for t in requantize.terms]
    int32 = signed(32)
    if any(Interval(int(m.min()), int(m.max())) not in int32 for m in (multiplier, *(m for _, m in terms))):
        return None
    constant = np.full(output.channels, ((1 << shift) >> 1) + (output.zero << shift), dtype=np.int64)
    if requantize.constant is not None:
        constant = constant + _per_channel(requantize.constant, output.channels)
    for term, by in terms:
        constant = constant - term.tensor.zero * by
    low, high = requantize.lo + output.zero, requantize.hi + output.zero
    reach = magnitude(constant) + magnitude(multiplier) * requantize.acc.magnitude
    for term, by in terms:
        widest = term.tensor.range.magnitude + term.tensor.zero
        reach += magnitude(by) * widest
    fits = reach >> shift < 1 << 31
    is_float = _is_float(requantize.acc.magnitude, multiplier)
    is_float = is_float and _sum_is_float(constant, [(by, t.tensor) for t, by in terms])
    kind = FLOAT if is_float else DOUBLE if reach <= EXACT else INT64
    if output.width != 1 or not fits:
        kind = INT64
    real = {FLOAT: np.float32, DOUBLE: np.float64}.get(kind)
    scale = 2.0**-shift
    ordered = padded(constant, size).reshape(-1, LANES // 2, 2).swapaxes(1, 2)
    return PackedFinish(
        kind=kind,
        shift=shift,
        low=low,
        high=high,
        fits=fits,
        multiplier=padded(multiplier, size).astype(np.int32),
        constant=np.ascontiguousarray(ordered),
        real=(padded(multiplier, size) * scale).astype(real) if real else None,
        offset=(padded(constant, size) * scale).astype(real) if real else None,
        term_multipliers=tuple(padded(by, size).astype(np.int32) for _, by in terms),
        term_reals=tuple((padded(by, size) * scale).astype(real) for _, by in terms) if real else (),
    )


def _per_channel(array: np.ndarray, channels: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(array, dtype=np.int64).reshape(-1), (channels,)).copy()


def _is_float(reach: int, multiplier: np.ndarray) -> bool:
    """Whether accumulators up to this magnitude and the multipliers are float32 numbers."""
    return reach <= SIGNIFICAND and magnitude(_odd_part(multiplier)) <= SIGNIFICAND


def _sum_is_float(constant: np.ndarray, terms: list[tuple[np.ndarray, Tensor]]) -> bool:
    """Whether constant + sum of multiplier * stored byte is a float32 number after every addition, for all bytes."""
    if magnitude(constant) >= LIMIT:
        return False  # the sums below might leave int64
    grain, reach = _grain(constant), np.abs(constant)
    for by, tensor in terms:
        if tensor.width != 1 or magnitude(_odd_part(by)) > SIGNIFICAND:
            return False
        grain = np.minimum(grain, _grain(by))
        reach = reach + np.abs(by) * 255
    return bool(np.all(reach <= SIGNIFICAND * grain))


def _grain(array: np.ndarray) -> np.ndarray:
    """The largest power of two that divides each number; 2**38 for 0."""
    return np.where(array == 0, np.int64(1) << 38, array & -array)


def _odd_part(array: np.ndarray) -> np.ndarray:
    return np.asarray(array // _grain(array))
