"""zkCNN's integers for one inference, from the numbers of its text and the configuration alone.

x = trunc(x 2^x_bits), W = trunc(w 2^w_bits), B = trunc(b 2^(w_bits + x_bits)); acc = W x + B;
T = x_bits + w_bits - next_bits(acc); y = maxpool(relu(acc)) >> T. The last layer ends with its accumulators.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from arithmos.errors import UsageError
from arithmos.targets.zkcnn.configuration import Configuration, Layer, Window
from arithmos.targets.zkcnn.rule import bits_of, next_bits, rescaled, truncated


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """One layer's weights as integers (float64, exact), their bits, and its bias as the text has it."""

    weight: np.ndarray
    weight_bits: int
    bias: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """image: int64 (c, x, y). accumulators: int64 (co, x, y) or (co,), a layer each. value_bits: those of what each
    layer reads; then, of the last one, nothing. weight_bits: of each layer."""

    image: np.ndarray
    accumulators: tuple[np.ndarray, ...]
    value_bits: tuple[int, ...]
    weight_bits: tuple[int, ...]

    def shift(self, i: int) -> int:
        """By how much the accumulators of layer i (not the last) are shifted."""
        return self.value_bits[i] + self.weight_bits[i] - self.value_bits[i + 1]


def n_image(configuration: Configuration) -> int:
    """How many numbers the image has."""
    return prod(configuration.image)


def n_parameters(configuration: Configuration) -> int:
    """How many numbers follow the image."""
    return sum(prod(layer.weight_shape) + layer.channels_out for layer in configuration.layers)


def parameters_of(configuration: Configuration, numbers: np.ndarray) -> list[Parameters]:
    """The layers' parameters from the numbers that follow the image."""
    found, at = [], 0
    for layer in configuration.layers:
        size = prod(layer.weight_shape)
        weight = numbers[at : at + size].reshape(layer.weight_shape)
        bits = bits_of(weight, layer.name)
        at += size + layer.channels_out
        found.append(Parameters(truncated(weight, bits), bits, numbers[at - layer.channels_out : at]))
    return found


def infer(configuration: Configuration, image: np.ndarray, parameters: list[Parameters]) -> Inference:
    """All accumulators of one inference. image: the text's numbers, float64. Raises UsageError where the rule has no
    answer (equal pixels, a result that does not fit Q) or sums leave 2**53."""
    real = image.reshape(configuration.image)
    bits = bits_of(real, "the image")
    x = pixels = truncated(real, bits).astype(np.int64)
    accumulators, value_bits = [], [bits]
    for i, (layer, own) in enumerate(zip(configuration.layers, parameters, strict=True)):
        bias = truncated(own.bias, own.weight_bits + value_bits[-1])
        _require_exact(layer, x, own.weight, bias)
        acc = _sums(layer, x, own.weight)
        acc = acc + bias.astype(np.int64).reshape(-1, *[1] * (acc.ndim - 1))
        accumulators.append(acc)
        if i == len(configuration.layers) - 1:
            break
        value_bits.append(next_bits(acc, own.weight_bits + value_bits[-1], layer.name))
        shift = value_bits[-2] + own.weight_bits - value_bits[-1]
        x = rescaled(pooled(acc, layer.pool), shift, layer.name)  # maxima, relu and shift commute
    return Inference(pixels, tuple(accumulators), tuple(value_bits), tuple(p.weight_bits for p in parameters))


def pooled(x: np.ndarray, pool: Window | None) -> np.ndarray:
    """Maxima of the windows that fit wholly; (c, x, y)."""
    if pool is None:
        return x
    return np.asarray(_windows(x, pool).max(axis=(-2, -1)))


def _sums(layer: Layer, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """W x in float64, exact by `_require_exact`; int64."""
    if layer.window is None:
        return np.asarray(weight @ x.reshape(-1).astype(np.float64)).astype(np.int64)
    margin = layer.window.padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (margin, margin), (margin, margin)))
    windows = _windows(padded, layer.window)
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, windows.shape[1] * windows.shape[2])
    sums = np.asarray(weight.reshape(len(weight), -1) @ columns)
    return sums.astype(np.int64).reshape(-1, *windows.shape[1:3])


def _windows(x: np.ndarray, window: Window) -> np.ndarray:
    size, stride = window.size, window.stride
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def _require_exact(layer: Layer, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
    rows = np.abs(weight.reshape(len(weight), -1)).sum(axis=1).max()
    if float(rows) * float(np.abs(x).max()) + float(np.abs(bias).max(initial=0)) >= 2.0**53:
        raise UsageError(
            f"{layer.name}: its sums do not fit 53 bits",
            why="weights or biases of the text are far larger than Q = 9 bits hold",
            fix="write it again with `arithmos export --target zkcnn`",
        )
