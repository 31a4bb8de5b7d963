"""The text that zkCNN reads: decimal numbers between white space, exact at both ends.

The image (channel, x, y); for each convolution its kernel (co, ci, kx, ky) and its bias; for each fully connected layer
its weight (co, ci) and its bias. A line holds one tensor.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from arithmos.errors import UsageError
from arithmos.targets.zkcnn.configuration import VALUE_BITS, Configuration


def decimal(number: int, bits: int) -> str:
    """number / 2**bits in decimal digits, exactly and without trailing zeros; bits >= 0."""
    digits = str(abs(number) * 5**bits).rjust(bits + 1, "0")  # n / 2**b = n 5**b / 10**b
    whole, fraction = digits[: len(digits) - bits], digits[len(digits) - bits :].rstrip("0")
    return ("-" if number < 0 else "") + whole + ("." + fraction if fraction else "")


def line(integers: np.ndarray, bits: int) -> str:
    """One tensor in row-major order: integers / 2**bits."""
    wide = integers.astype(np.int64)  # a difference of two int8 may be none
    lo, hi = int(wide.min()), int(wide.max())
    few = hi - lo <= wide.size  # weights: every level is written once, and a table holds it
    distinct, places = (np.arange(lo, hi + 1), wide - lo) if few else np.unique(wide, return_inverse=True)
    words = np.array([f" {decimal(int(number), bits)}" for number in distinct], dtype=np.bytes_)
    return words[places.ravel()].tobytes().replace(b"\0", b"").decode("ascii")[1:] + "\n"


def image_line(image: np.ndarray) -> str:
    """The image's integers as numbers; (channel, x, y)."""
    return line(image, VALUE_BITS)


def parameter_lines(configuration: Configuration, tensors: Iterable[tuple[np.ndarray, np.ndarray]]) -> str:
    """Weights and biases; each bias holds half a step of its layer's result, for zkCNN rounds down."""
    lines = []
    for layer, (weight, bias) in zip(configuration.layers, tensors, strict=True):
        lines += [line(weight, layer.weight_bits), line(bias + layer.half, layer.bias_bits)]
    return "".join(lines)


def numbers_of(text: str, count: int, where: str) -> np.ndarray:
    """The float64 numbers of a text. Raises UsageError unless it is `count` finite decimal numbers."""
    try:
        words = (word for one in text.splitlines() for word in one.split())
        numbers = np.fromiter(map(float, words), np.float64)
        why = "" if np.isfinite(numbers).all() else "a number is not finite"
    except ValueError as error:
        numbers, why = np.zeros(0), str(error)
    if why or len(numbers) != count:
        raise UsageError(
            "this is no text for this zkCNN network",
            where=where,
            why=why or f"it has {len(numbers):,} numbers, the image and the layers take {count:,}",
            fix="write it again with `arithmos export --target zkcnn`",
        )
    return numbers
