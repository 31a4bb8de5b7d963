"""Random small networks that are full of what the passes look for."""

from __future__ import annotations

import numpy as np

from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import signed


def integer_network(seed: int) -> Graph:
    """Clips, requantizes, tables, shared values, constants that can be folded, and nodes nobody needs."""
    rng = np.random.default_rng(seed)
    b = Builder("int")
    values = [b.input("x", (-1, 4), signed(int(rng.integers(4, 10))))]

    def ends() -> tuple[int, int]:
        low, high = sorted(rng.integers(-60, 61, 2).tolist())
        return low, high + 1

    for i in range(int(rng.integers(6, 14))):
        x = values[-1] if rng.random() < 0.8 else values[int(rng.integers(len(values)))]
        name = f"v{i}"
        proven = b.values[x].range
        assert proven is not None
        match int(rng.integers(6)):
            case 0:
                low, high = ends()
                values.append(b.add("clip", x, lo=low, hi=high if rng.random() < 0.7 else None, name=name))
            case 1:
                low, high = ends()
                mul = [b.constant("mul", np.array(int(rng.integers(-9, 10))))] if rng.random() < 0.5 else []
                values.append(b.add("requantize", x, *mul, shift=int(rng.integers(0, 4)), lo=low, hi=high, name=name))
            case 2 if proven.bits <= 12:
                entries = rng.integers(-90, 91, proven.hi - proven.lo + 1 + int(rng.integers(0, 5)))
                table = b.constant("entries", entries)
                values.append(b.add("table", x, table, offset=proven.lo, axis=None, name=name))
            case 3 if proven.bits <= 12:
                entries = rng.integers(-90, 91, (4, proven.hi - proven.lo + 1))
                values.append(b.add("table", x, b.constant("entries", entries), offset=proven.lo, axis=1, name=name))
            case 4:
                one, two = b.constant("one", rng.integers(-9, 10, 4)), b.constant("two", rng.integers(1, 9, (4,)))
                folded = b.add("mul", b.add("add", one, two, name="known"), two, name="known")
                values.append(b.add("add", x, folded, name=name))
            case _:
                other = values[int(rng.integers(len(values)))]
                clipped = b.add("clip", other, lo=-500, hi=500, name="side")
                values.append(b.add("add", x, clipped, name=name))
                b.add("mul", clipped, clipped, name="unused")
    picked = {values[-1], *(v for v in values[1:] if rng.random() < 0.15)}
    return b.graph(*sorted(picked))


def float_chain(seed: int, kind: str = "conv") -> Graph:
    """Layers of one kind with batch norms, homogeneous functions and branches between them; some weights are shared."""
    rng = np.random.default_rng(seed)
    b = Builder("float")
    width = int(rng.integers(2, 5))
    x = b.input("x", (-1, width, 6, 6) if kind == "conv" else (-1, width))
    shared = b.constant(
        "shared", rng.normal(size=(width, width, 3, 3) if kind == "conv" else (width, width)).astype(np.float32)
    )
    for i in range(int(rng.integers(3, 6))):
        weight = rng.normal(size=b.values[shared].shape) * 10.0 ** rng.uniform(
            -1, 1, (width, *[1] * (len(b.values[shared].shape) - 1))
        )
        weight[int(rng.integers(width))] *= rng.random() < 0.8  # a channel that is always zero
        names = [x, shared if rng.random() < 0.15 else b.constant(f"w{i}", weight.astype(np.float32))]
        if rng.random() < 0.6:
            names.append(b.constant(f"b{i}", rng.normal(size=width).astype(np.float32)))
        attrs = (
            {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1} if kind == "conv" else {}
        )
        y = b.add(kind, *names, name=f"layer{i}", **attrs)
        if rng.random() < 0.6:
            draws = (rng.normal(size=width), rng.normal(size=width), rng.normal(size=width), rng.uniform(0.3, 2, width))
            parameters = [b.constant(f"bn{i}.{j}", a.astype(np.float32)) for j, a in enumerate(draws)]
            y = b.add("batch_norm", y, *parameters, eps=1e-5, name=f"bn{i}")
        match int(rng.integers(5)):
            case 0:
                y = b.add("relu", y, name=f"relu{i}")
            case 1:
                y = b.add("leaky_relu", y, slope=0.1, name=f"leaky{i}")
            case 2 if kind == "conv":
                pool = {"kernel": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1))}
                y = b.add("relu", b.add("max_pool", y, **pool, name=f"pool{i}"), name=f"relu{i}")
            case 3:
                y = b.add("add", y, x, name=f"add{i}")
            case _:
                y = b.add("tanh", y, name=f"tanh{i}")
        x = y
    return b.graph(x)
