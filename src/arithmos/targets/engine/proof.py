"""A backend's proof: a small network whose every value must be the interpreter's, before anything else runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from arithmos.errors import ArithmosError
from arithmos.ir.build import Builder
from arithmos.ir.graph import BATCH, Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import signed
from arithmos.targets.engine.backend import AUTOMATIC, Backend, backend
from arithmos.targets.engine.runner import Execution


@cache
def proven(name: str) -> Backend:
    """The backend of this name, or of "auto" the first that is there and proves itself.

    Raises UsageError, MissingTool or CompileError for a named backend that cannot be had, ArithmosError for one whose
    integers are wrong.
    """
    if name != "auto":
        return _prove(backend(name))
    for candidate in AUTOMATIC[:-1]:
        try:
            return _prove(backend(candidate))
        except ArithmosError:
            continue
    return _prove(backend(AUTOMATIC[-1]))


def _prove(candidate: Backend) -> Backend:
    graph = sample()
    rng = np.random.default_rng(0)
    inputs = {"image": rng.integers(-128, 128, (3, 3, 9, 9)).astype(np.int8)}
    want = evaluate(graph, inputs, every=True)
    every = dict(Execution(graph, candidate, every=True, threads=2).values(inputs))
    outputs = Execution(graph, candidate, every=False, threads=1).outputs(inputs)
    wrong = [name for name in want if not np.array_equal(want[name], every[name])]
    wrong += [f"{name} (fused)" for name in outputs if not np.array_equal(want[name], outputs[name])]
    if wrong:
        raise ArithmosError(
            f"the engine's backend '{candidate.name}' computes wrong integers on this machine",
            why=f"on a sample network it differs from the interpreter in {', '.join(wrong)}",
            fix="use another backend or target; report this with the output of `arithmos doctor`",
        )
    return candidate


@cache
def sample() -> Graph:
    """Convolutions, a residual join, both poolings and a linear layer, with random weights and extreme inputs."""
    rng = np.random.default_rng(1)
    build = Builder("int")
    image = build.input("image", (BATCH, 3, 9, 9), signed(8))

    def layer(source: str, out: int, kernel: int, name: str) -> str:
        channels = build.values[source].shape[1]
        weight = build.constant(f"{name}.weight", rng.integers(-127, 128, (out, channels, kernel, kernel)))
        bias = build.constant(f"{name}.bias", rng.integers(-9999, 9999, out))
        border = ((kernel // 2,) * 2,) * 2
        geometry: dict[str, Any] = {"stride": (1, 1), "padding": border, "dilation": (1, 1), "groups": 1}
        return build.add("conv", source, weight, bias, name=name, **geometry)

    def multipliers(name: str, out: int) -> str:
        return build.constant(f"{name}.mul", rng.integers(1 << 8, 1 << 15, (out, 1, 1)))

    byte: dict[str, Any] = {"lo": 0, "hi": 255}
    stem = build.add("requantize", layer(image, 18, 3, "stem"), multipliers("stem", 18), shift=24, **byte)
    branch = build.add("mul", layer(stem, 18, 3, "branch"), multipliers("branch", 18))
    total = build.add("add", branch, build.add("mul", stem, multipliers("shortcut", 18)))
    joined = build.add("requantize", total, shift=16, **byte)
    window: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    largest = build.add("max_pool", joined, **window)
    pooled = build.add("sum_pool", largest, kernel=(5, 5), stride=(1, 1), padding=((0, 0), (0, 0)))
    mean = build.add("requantize", pooled, shift=5, **byte)
    flat = build.add("reshape", mean, shape=(BATCH, 18))
    weight = build.constant("head.weight", rng.integers(-127, 128, (7, 18)))
    return build.graph(build.add("linear", flat, weight, name="head"))
