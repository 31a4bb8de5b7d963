"""Small float classifiers, one for each way in which values meet."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

import factories
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.lower.calibrate import Stats, calibrate

PIXELS = (3, 12, 12)


class Layers:
    """A float graph under construction; every layer has random weights. A class because it grows."""

    def __init__(self, seed: int) -> None:
        self.b, self.rng = Builder("float"), np.random.default_rng(seed)
        self.x = self.b.input("x", (-1, *PIXELS))

    def constant(self, name: str, *shape: int, deviation: float) -> str:
        return self.b.constant(name, self.rng.normal(0, deviation, shape).astype(np.float32))

    def conv(self, y: str, name: str, out: int, size: int = 3, *, stride: int = 1, groups: int = 1) -> str:
        channels = self.b.values[y].shape[1] // groups
        weight = self.constant(
            f"{name}.weight", out, channels, size, size, deviation=math.sqrt(2 / (channels * size**2))
        )
        bias = self.constant(f"{name}.bias", out, deviation=0.1)
        margin = ((size // 2, size // 2),) * 2
        attrs = {"stride": (stride, stride), "padding": margin, "dilation": (1, 1), "groups": groups}
        return self.b.add("conv", y, weight, bias, name=name, **attrs)

    def done(self, y: str) -> Graph:
        """Global mean and ten logits."""
        y = self.b.add("reduce_mean", y, axes=(2, 3), keepdims=False, name="mean")
        width = self.b.values[y].shape[1]
        weight = self.constant("fc.weight", 10, width, deviation=math.sqrt(1 / width))
        return self.b.graph(self.b.add("linear", y, weight, self.constant("fc.bias", 10, deviation=0.1), name="fc"))


def depthwise() -> Graph:
    """1x1 up, depthwise, 1x1 down with a shortcut; relu6 between them, as MobileNet has it."""
    n = Layers(1)
    y = n.b.add("clip", n.conv(n.x, "stem", 6, stride=2), lo=0.0, hi=6.0, name="stem.relu6")
    z = n.b.add("clip", n.conv(y, "up", 12, 1), lo=0.0, hi=6.0, name="up.relu6")
    z = n.b.add("clip", n.conv(z, "deep", 12, groups=12), lo=0.0, hi=6.0, name="deep.relu6")
    return n.done(n.b.add("add", n.conv(z, "down", 6, 1), y, name="sum"))


def branches() -> Graph:
    """Two convolutions, a max pool and an average pool side by side, concatenated."""
    n = Layers(2)
    y = n.b.add("relu", n.conv(n.x, "stem", 6, stride=2), name="stem.relu")
    window = {"kernel": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1))}
    one = n.b.add("relu", n.conv(y, "one", 4, 1), name="one.relu")
    three = n.b.add("relu", n.conv(y, "three", 4), name="three.relu")
    top = n.b.add("max_pool", y, name="top", **window)
    mean = n.b.add("avg_pool", y, name="mean_pool", count_padding=False, divisor=None, **window)
    return n.done(n.b.add("concat", one, three, top, mean, axis=1, name="joined"))


def tables() -> Graph:
    """GELU after a convolution, and a squeeze-excite gate by a sigmoid."""
    n = Layers(3)
    y = n.b.add("gelu", n.conv(n.x, "stem", 6, stride=2), approximate="none", name="stem.gelu")
    squeezed = n.b.add("reduce_mean", y, axes=(2, 3), keepdims=True, name="squeezed")
    gate = n.b.add("sigmoid", n.conv(squeezed, "excite", 6, 1), name="gate")
    return n.done(n.conv(n.b.add("mul", y, gate, name="gated"), "last", 5))


NETWORKS: dict[str, Callable[[], Graph]] = {
    "residual": factories.float_cnn,
    "depthwise": depthwise,
    "branches": branches,
    "tables": tables,
}


@cache
def calibrated(name: str) -> tuple[Graph, Stats]:
    graph = NETWORKS[name]()
    return graph, calibrate(graph, [factories.images(32)])
