"""The configuration of a zkCNN network: its layers in order, as the JSON file beside the text says them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arithmos.errors import UsageError

SCHEMA = 1
VALUE_BITS = 8
"""Bits after the point of the image and of every activation in the text: integers of 0 ... 255 are numbers below 1."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square window of a convolution or a max pool; stride: a power of two. Pools have no padding."""

    size: int
    stride: int
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (window) or a fully connected layer (no window), with relu and shift (except the last), and a pool.

    name: its accumulator in the network. shift: the network's, None for the last layer. The text holds its weights as
    W / 2**weight_bits; for the other layers weight_bits is the shift, so that every activation keeps VALUE_BITS.
    """

    name: str
    channels_in: int
    channels_out: int
    shift: int | None
    window: Window | None = None
    pool: Window | None = None

    @property
    def weight_bits(self) -> int:
        """Bits after the point of the weights in the text."""
        return VALUE_BITS if self.shift is None else self.shift

    @property
    def bias_bits(self) -> int:
        """Bits after the point of accumulators and biases in the text."""
        return self.weight_bits + VALUE_BITS

    @property
    def half(self) -> int:
        """2**(shift - 1): what the bias in the text holds more, for zkCNN rounds down where the network rounds."""
        return (1 << (self.shift or 0)) >> 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(co, ci, kx, ky) or (co, ci)."""
        return (self.channels_out, self.channels_in, *([self.window.size] * 2 if self.window else []))


@dataclass(frozen=True, slots=True)
class Configuration:
    """The image's extents and the layers; network: the digest of the integer network."""

    network: str
    image: tuple[int, int, int]
    layers: tuple[Layer, ...]


def document(configuration: Configuration) -> dict[str, Any]:
    """What the JSON file says."""
    channels, height, width = configuration.image
    return {
        "format": "zkcnn",
        "schema": SCHEMA,
        "network": configuration.network,
        "image": {"channels": channels, "height": height, "width": width, "bits": VALUE_BITS},
        "layers": [_row(layer) for layer in configuration.layers],
    }


def _row(layer: Layer) -> dict[str, Any]:
    window = layer.window and {
        "size": layer.window.size,
        "stride": layer.window.stride,
        "padding": layer.window.padding,
    }
    return {
        "name": layer.name,
        "kind": "convolution" if window else "fully_connected",
        "channels_in": layer.channels_in,
        "channels_out": layer.channels_out,
        "window": window,
        "max_pool": layer.pool and {"size": layer.pool.size, "stride": layer.pool.stride},
        "weight_bits": layer.weight_bits,
        "shift": layer.shift,
        "added_to_bias": layer.half,
    }


def read_configuration(path: Path) -> Configuration:
    """The configuration in a JSON file. Raises UsageError for a file that is none."""
    try:
        data = json.loads(path.read_text())
        if (data["format"], data["schema"]) != ("zkcnn", SCHEMA):
            raise ValueError(f"format {data['format']}, schema {data['schema']}; this version reads schema {SCHEMA}")
        channels, height, width = (_count(data["image"][side]) for side in ("channels", "height", "width"))
        layers = tuple(_layer(row) for row in data["layers"])
        if not layers or any(layer.shift is None for layer in layers[:-1]):
            raise ValueError("every layer but the last has a shift")
        return Configuration(str(data["network"]), (channels, height, width), layers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            "the zkCNN configuration cannot be read",
            where=str(path),
            why=f"{type(error).__name__}: {error}",
            fix="write it again with `arithmos export --target zkcnn`",
        ) from error


def _layer(row: dict[str, Any]) -> Layer:
    window, pool = row["window"], row["max_pool"]
    return Layer(
        str(row["name"]),
        _count(row["channels_in"]),
        _count(row["channels_out"]),
        None if row["shift"] is None else _count(row["shift"], least=0, most=62),
        window and Window(_count(window["size"]), _count(window["stride"]), _count(window["padding"], least=0)),
        pool and Window(_count(pool["size"]), _count(pool["stride"])),
    )


def _count(number: object, least: int = 1, most: int = (1 << 31) - 1) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"{number!r} is no integer from {least} on, at most {most}")
    return number
