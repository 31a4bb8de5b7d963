"""A small network with every kind of layer, and GPFQ on it as the papers write it: what the fast forms must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Node
from arithmos.lower.analog import is_layer, run_in_numpy
from arithmos.lower.calibrate import Stats, calibrate
from arithmos.lower.choice import Choice
from arithmos.quant.quantiser import nearest
from quant.direct import path_following

N_IMAGES = 40
"""More than one piece of calibration samples."""


def network() -> tuple[Graph, Stats]:
    """A strided stem, a grouped, a depthwise and a 1x1 convolution beside a 1x1 shortcut, their sum, a linear layer."""
    rng, b = np.random.default_rng(0), Builder("float")

    def conv(x: str, name: str, out: int, channels: int, side: int, **other: Any) -> str:
        groups = other.get("groups", 1)
        shape = (out, channels // groups, side, side)
        weight = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape) * rng.uniform(0.5, 1.5, (out, 1, 1, 1))
        names = [b.constant(f"{name}.weight", weight.astype(np.float32))]
        names.append(b.constant(f"{name}.bias", rng.normal(0, 0.1, out).astype(np.float32)))
        pad = ((side // 2, side // 2),) * 2
        plain = {"stride": (1, 1), "padding": pad, "dilation": (1, 1), "groups": 1}
        return b.add("relu", b.add("conv", x, *names, name=name, **plain | other), name=f"{name}.relu")

    stem = conv(b.input("x", (-1, 3, 11, 10)), "stem", 8, 3, 3, stride=(2, 1))
    inner = conv(
        conv(stem, "grouped", 8, 8, 3, groups=2),
        "depthwise",
        8,
        8,
        3,
        groups=8,
        dilation=(2, 1),
        padding=((2, 2), (1, 1)),
    )
    joined = b.add("add", conv(inner, "pointwise", 12, 8, 1), conv(stem, "shortcut", 12, 8, 1), name="sum")
    mean = b.add("reduce_mean", conv(joined, "last", 10, 12, 3), axes=(2, 3), keepdims=False, name="mean")
    weight = b.constant("fc.weight", rng.normal(0, 0.3, (5, 10)).astype(np.float32))
    graph = b.graph(b.add("linear", mean, weight, name="fc"))
    images = np.maximum(rng.normal(0.3, 1, (N_IMAGES, 3, 11, 10)), 0).astype(np.float32)
    return graph, calibrate(graph, [images], keep=N_IMAGES)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the walk met at a layer: vectors of the quantized and of the float network, rows, and its integers."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    integers: np.ndarray


def walk(graph: Graph, stats: Stats, choice: Choice, rate: float | None) -> dict[str, Seen]:
    """Both networks node by node in float32; at a layer, GPFQ row by row on the steps and levels of the choice.

    rate: that of published patches, drawn with the generators that the library gives each piece; None for all windows.
    """
    pieces = [sample["x"] for sample in stats.samples]
    live, floats = ([{"x": piece} for piece in pieces] for _ in range(2))
    seen = {}
    for place, node in enumerate(graph.nodes):
        constants: Mapping[str, np.ndarray] = graph.constants
        if is_layer(graph, node):
            x, y = (
                np.concatenate(
                    [
                        unfolded(node, constants, piece[node.inputs[0]], rate, np.random.default_rng((0, place, i, 0)))
                        for i, piece in enumerate(network)
                    ],
                    axis=1,
                )
                for network in (live, floats)
            )
            chosen = choice.weights[node.output]
            weight = constants[node.inputs[1]].astype(np.float64)
            rows = weight.reshape(len(x), -1, x.shape[2])
            steps = np.broadcast_to(chosen.steps, len(weight)).reshape(rows.shape[:2])
            integers = path_following(rows / steps[:, :, None], nearest(chosen.levels), x, y)
            seen[node.output] = Seen(x, y, rows, integers)
            on_grid = (integers * steps[:, :, None]).reshape(weight.shape).astype(np.float32)
            constants = {**constants, node.inputs[1]: on_grid}
        for net, known in ((live, constants), (floats, graph.constants)):
            for piece in net:
                operands = [piece[n] if n in piece else known[n] for n in node.inputs]
                piece[node.output] = run_in_numpy(node, operands)
    return seen


def unfolded(
    node: Node, constants: Mapping[str, np.ndarray], x: np.ndarray, rate: float | None, rng: np.random.Generator
) -> np.ndarray:
    """What the layer multiplies by its rows: (groups, n, d) in float64, window by window."""
    if node.op == "linear":
        return x[None].astype(np.float64)
    groups, kernel = node.attrs["groups"], constants[node.inputs[1]].shape[2:]
    dilation, stride = node.attrs["dilation"], node.attrs["stride"] if rate is None else kernel
    padded = np.pad(x, ((0, 0), (0, 0), *node.attrs["padding"])).astype(np.float64)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    starts = [range(0, size - r + 1, s) for size, r, s in zip(padded.shape[2:], reach, stride, strict=True)]
    channels = x.shape[1] // groups
    every = [
        padded[:, g * channels : (g + 1) * channels, i : i + reach[0] : dilation[0], j : j + reach[1] : dilation[1]]
        for g in range(groups)
        for i in starts[0]
        for j in starts[1]
    ]
    flat = np.stack(every, axis=1).reshape(len(x), groups, len(starts[0]) * len(starts[1]), -1)
    if rate is not None:
        count = flat.shape[2]
        drawn = rng.integers(count, size=(len(x), count if rate == 1 else int(rate * count + 1)))
        flat = np.stack([image[:, own] for image, own in zip(flat, drawn, strict=True)])
    return flat.transpose(1, 0, 2, 3).reshape(groups, -1, flat.shape[3])
