"""The engine against the interpreter: every value of every network, on every backend, for any number of threads."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from arithmos.errors import ArithmosError, MissingTool, UsageError
from arithmos.extras import require
from arithmos.ir.build import Builder
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import BATCH, Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.ops import INT
from arithmos.targets import engine
from arithmos.targets.engine import backend as backends
from arithmos.targets.engine import prepare, proof, stream
from arithmos.targets.engine.backend import BACKENDS, Backend
from arithmos.targets.engine.host import Product, numpy_product
from arithmos.targets.engine.library import PATHS, kernels
from arithmos.targets.engine.planner import Host, Kernels, plan
from arithmos.targets.engine.runner import Execution
from arithmos.targets.engine.torch_product import torch_product
from arithmos.targets.target import find
from engine_backends import DIFFERENT, TESTED, assert_same, needs_torch
from factories import INTEGER, conv, int8_weight
from samples import INT_EXAMPLES, all_inputs, example_graph


def few_inputs(graph: Graph, backend: str) -> Iterator[dict[str, np.ndarray]]:
    """Random ones and all corners for the native kernels; random ones for the others, which share their planner."""
    return islice(all_inputs(graph), None if backend == "native" else 1)


@pytest.mark.parametrize("backend", DIFFERENT)
@pytest.mark.parametrize(("op", "number"), INT_EXAMPLES)
def test_every_op(op: str, number: int, backend: str) -> None:
    graph = example_graph(op, INT[op].examples[number])
    for inputs in few_inputs(graph, backend):
        assert_same(graph, inputs, backend)


@pytest.mark.parametrize("backend", TESTED)
@pytest.mark.parametrize("network", INTEGER)
def test_every_network(network: str, backend: str) -> None:
    graph = INTEGER[network]()
    for inputs in few_inputs(graph, backend):
        assert_same(graph, inputs, backend)


@needs_torch
@pytest.mark.parametrize("number", range(len(INT["conv"].examples)))
def test_convolution_by_columns_as_on_a_gpu(number: int) -> None:
    graph = example_graph("conv", INT["conv"].examples[number])
    backend = Backend("columns", None, torch_product("cpu", direct=False))
    for inputs in all_inputs(graph):
        found = Execution(graph, backend, every=False).outputs(inputs)
        np.testing.assert_array_equal(found["y"], evaluate(graph, inputs)["y"])


@needs_torch
def test_cuda_gives_the_same_integers() -> None:
    if not require("torch", "torch").cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
    graph = INTEGER["residual_cnn"]()
    assert_same(graph, random_inputs(graph, 5), "cuda")


class Maker:
    """A random network under construction: a class because the builder and the generator go everywhere together."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.build = Builder("int")

    def shape(self, x: str) -> tuple[int, ...]:
        return self.build.values[x].shape

    def constant(self, low: int, high: int, *shape: int) -> str:
        return self.build.constant("constant", self.rng.integers(low, high, shape))

    def layer(self, x: str, out: int, stride: int = 1, groups: int = 1, kernel: int = 3) -> str:
        weight = int8_weight(self.rng, out, self.shape(x)[1] // groups, kernel, kernel)
        bias = self.rng.integers(-5000, 5000, out) if self.rng.integers(2) else None
        border = ((kernel // 2, kernel // 2), (kernel // 2, (kernel - 1) // 2))
        return conv(self.build, x, weight, bias, stride=(stride, stride), padding=border, groups=groups)

    def rounded(self, x: str, multiplied: bool = True) -> str:
        """To bytes, signed or not; with a multiplier for each channel, for all, or none."""
        shift = int(self.rng.choice([0, 8, 16, 24]))
        widest = self.build.values[x].range
        assert widest is not None
        channels = self.shape(x)[1]
        top = max(2, min((255 << shift) // max(widest.magnitude // 16, 1), 1 << 24))
        operands = [x]
        if multiplied:
            lowest = int(self.rng.choice([1, 1, -top]))
            operands.append(self.constant(lowest, top, *((channels, 1, 1) if self.rng.integers(4) else ())))
        else:
            shift = max(0, widest.bits - 10)
        grid = unsigned(8) if self.rng.integers(3) else signed(8)
        return self.build.add("requantize", *operands, shift=shift, lo=grid.lo, hi=grid.hi)

    def scaled(self, x: str) -> str:
        return self.build.add("mul", x, self.constant(-(1 << 14), 1 << 20, self.shape(x)[1], 1, 1))

    def shortcut(self, x: str, like: str) -> str:
        """x in the shape of `like`: as it is, projected, or subsampled with new channels of zeros."""
        channels, out = self.shape(x)[1], self.shape(like)[1]
        if self.shape(x) == self.shape(like):
            return x
        stride = self.shape(x)[2] // self.shape(like)[2]
        if self.rng.integers(2) or out < channels:
            return self.layer(x, out, stride, kernel=1)
        _, _, height, breadth = self.shape(like)
        cut = self.build.add("slice", x, slices=((2, 0, stride, height), (3, 0, stride, breadth))) if stride > 1 else x
        before = (out - channels) // 2
        margins = ((0, 0, 0), (before, out - channels - before, 0), (0, 0, 0), (0, 0, 0))
        return self.build.add("pad", cut, margins=margins, fill=0) if out > channels else cut

    def block(self, x: str) -> str:
        """One of the shapes that networks are made of."""
        out = int(self.rng.choice([5, 16, 24, 40]))
        even = self.shape(x)[2] % 2 == 0 and self.shape(x)[2] > 4
        stride = 2 if even and self.rng.integers(2) else 1
        kind = self.rng.integers(7)
        if kind == 0:
            return self.rounded(self.layer(x, out, stride))
        if kind == 1:
            channels = self.shape(x)[1]
            return self.rounded(self.layer(x, channels, stride, groups=channels))
        if kind == 2:
            acc = self.layer(x, out)
            pooled = self.build.add("max_pool", acc, kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
            return self.rounded(pooled)
        if kind == 3:
            parts = [x, self.rounded(self.layer(x, out)), self.rounded(self.layer(x, 3))]
            return self.build.add("concat", *parts, axis=1)
        if kind == 4:
            byte = self.rounded(self.layer(x, out))
            interval = self.build.values[byte].range
            assert interval is not None
            entries = self.constant(-128, 128, interval.hi - interval.lo + 1)
            return self.build.add("table", byte, entries, offset=interval.lo, axis=None)
        branch = self.layer(self.rounded(self.layer(x, out, stride)), out)
        total = self.build.add("add", self.scaled(branch), self.scaled(self.shortcut(x, branch)))
        if kind == 5:
            total = self.build.add("sub", total, self.constant(-(1 << 20), 1 << 20, out, 1, 1))
        return self.rounded(total, multiplied=False)

    def graph(self) -> Graph:
        size = int(self.rng.choice([8, 12, 13]))
        x = self.build.input("image", (BATCH, int(self.rng.choice([1, 3, 8])), size, size), signed(8))
        x = self.rounded(self.layer(x, 16))
        seen = [x]
        for _ in range(4):
            seen.append(self.block(seen[-1]))
        last, (_, channels, height, breadth) = seen[-1], self.shape(seen[-1])
        if self.rng.integers(2):
            pooled = self.build.add("reduce_sum", last, axes=(2, 3), keepdims=False)
        else:
            channels *= height * breadth
            pooled = self.build.add("reshape", last, shape=(BATCH, channels))
        narrow = pooled
        if self.build.values[pooled].range not in (unsigned(8), signed(8)):
            narrow = self.build.add("requantize", pooled, shift=6, lo=-128, hi=127)
        head = self.build.add("linear", narrow, self.constant(-127, 128, 10, channels))
        return self.build.graph(head, seen[int(self.rng.integers(1, 5))])


@pytest.mark.parametrize(("backend", "seed"), [(b, s) for b in PATHS for s in range(25 if b == "native" else 8)])
def test_random_cnn(seed: int, backend: str) -> None:
    graph = Maker(seed).graph()
    rng = np.random.default_rng(seed)
    inputs = random_inputs(graph, int(rng.integers(1, 12)), seed)
    assert_same(graph, inputs, backend, threads=int(rng.integers(1, 4)))


def test_a_residual_network_is_one_program() -> None:
    """Convolutions take their requantize and residual with them, and nothing runs on the host in between."""
    segments = plan(INTEGER["residual_cnn"](), kernels(), every=False)
    assert [type(s) for s in segments] == [Kernels]
    assert segments[0].writes == INTEGER["residual_cnn"]().outputs


def test_what_the_kernels_lack_runs_between_programs() -> None:
    """A value that is made before a host node and read after it is stored, once."""
    build = Builder("int")
    x = build.input("x", (BATCH, 4, 6, 6), unsigned(8))
    weight = np.random.default_rng(0).integers(-9, 9, (4, 4, 1, 1))
    a = build.add("requantize", conv(build, x, weight), name="a", shift=2, lo=0, hi=255)
    turned = build.add("transpose", a, name="turned", perm=(0, 1, 3, 2))
    total = build.add("add", turned, a, name="total")
    graph = build.graph(build.add("requantize", total, name="y", shift=1, lo=0, hi=255))
    segments = plan(graph, kernels(), every=False)
    assert [type(s) for s in segments] == [Kernels, Host, Kernels]
    assert [s.writes for s in segments] == [("a",), ("turned",), ("y",)]
    assert_same(graph, random_inputs(graph, 5), "native")


@pytest.mark.parametrize("backend", TESTED)
def test_products_beyond_every_float_are_exact(backend: str) -> None:
    """Weights and activations so wide that float64 would round; int64 does not."""
    build = Builder("int")
    x = build.input("x", (BATCH, 3), Interval(-(1 << 30), 1 << 30))
    weight = build.constant("w", np.array([[(1 << 29) - 1, 1, -(1 << 29)], [3, 1 << 20, 7]]))
    graph = build.graph(build.add("linear", x, weight))
    assert_same(graph, random_inputs(graph, 50), backend)


@pytest.mark.parametrize("backend", TESTED)
@pytest.mark.parametrize(("features", "wide"), [(517, False), (521, False), (4, True)])
def test_sums_at_the_edge_of_float32_and_float64_are_exact(features: int, wide: bool, backend: str) -> None:
    """Odd sums just below and just above 2**24, and just above 2**53, where the next float has no odd integers."""
    build = Builder("int")
    top = (1 << 26) + 1 if wide else 255
    x = build.input("x", (BATCH, features), unsigned(27) if wide else unsigned(8))
    weight = np.full((3, features), top if wide else 127)
    weight[1:, 0] = 1, 3
    graph = build.graph(build.add("linear", x, build.constant("w", weight)))
    inputs = {"x": np.full((2, features), top, dtype=np.uint32 if wide else np.uint8)}
    inputs["x"][1, 0] = 1
    assert_same(graph, inputs, backend)


@pytest.mark.parametrize(("fill", "kinds"), [(0, [Kernels]), (3, [Host, Kernels])])
def test_a_border_of_zeros_becomes_padding(fill: int, kinds: list[type]) -> None:
    """Uneven margins and the convolution's own padding add up; a border of another number does not become padding."""
    build = Builder("int")
    x = build.input("x", (BATCH, 5, 6, 7), signed(8))
    border = build.add("pad", x, margins=((0, 0, 0), (0, 0, 0), (2, 0, 0), (1, 3, 0)), fill=fill)
    weight = int8_weight(np.random.default_rng(0), 9, 5, 3, 3)
    graph = build.graph(conv(build, border, weight, padding=((1, 0), (0, 1)), stride=(2, 1)))
    assert [type(s) for s in plan(graph, kernels(), every=False)] == kinds
    assert_same(graph, random_inputs(graph, 3), "native")


def test_multipliers_beyond_int32_run_on_the_host() -> None:
    build = Builder("int")
    x = build.input("x", (BATCH, 4), signed(8))
    multiplier = build.constant("m", np.array([1 << 31, -(1 << 31), 3, (1 << 40) + 1]))
    graph = build.graph(build.add("requantize", x, multiplier, shift=38, lo=-128, hi=127))
    assert [type(s) for s in plan(graph, kernels(), every=False)] == [Host]
    assert_same(graph, random_inputs(graph, 20), "native")


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("images", [1, 2, 7, 33])
def test_threads_change_nothing(threads: int, images: int) -> None:
    graph = INTEGER["residual_cnn"]()
    inputs = random_inputs(graph, images)
    one = prepare(graph, False, threads=1)(inputs)
    many = prepare(graph, False, threads=threads)(inputs)
    assert all(np.array_equal(one[name], many[name]) for name in one)


def test_stream_drops_what_nobody_reads_any_more() -> None:
    """At any time no more arrays are alive than the graph needs."""
    graph = INTEGER["residual_cnn"]()
    alive: list[weakref.ref[np.ndarray]] = []
    most, total = 0, 0
    for _, array in stream(graph, random_inputs(graph, 4)):
        alive.append(weakref.ref(array))
        del array
        most = max(most, sum(ref() is not None for ref in alive))
        total += 1
    assert total == len(graph.nodes) + 1 and most <= 6


def test_constant_and_input_outputs() -> None:
    build = Builder("int")
    x = build.input("x", (BATCH, 2), signed(8))
    graph = build.graph(x, build.constant("k", np.array([1, 2, 3])), x)
    assert_same(graph, random_inputs(graph, 3), "native")


def test_unknown_backend_names_the_others() -> None:
    with pytest.raises(UsageError) as caught:
        prepare(INTEGER["pools"](), False, backend="fpga")
    assert str(caught.value) == (
        "the engine has no backend 'fpga'\n"
        "  why  it has auto, native, vnni256, avx2, plain, torch, cuda, numpy\n"
        "  fix  choose one of them"
    )


@pytest.fixture
def without_memory() -> Iterator[None]:
    """Backends are chosen anew, and forgotten afterwards."""
    for remembered in (backends.backend, proof.proven):
        remembered.cache_clear()
    yield
    for remembered in (backends.backend, proof.proven):
        remembered.cache_clear()


def test_a_backend_that_computes_wrong_integers_is_refused(
    without_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by_one(*arguments: Any) -> np.ndarray:
        return numpy_product(*arguments) + 1

    monkeypatch.setitem(BACKENDS, "numpy", lambda: Backend("numpy", None, off_by_one))
    with pytest.raises(ArithmosError, match="backend 'numpy' computes wrong integers on this machine"):
        prepare(INTEGER["pools"](), False, backend="numpy")


@needs_torch
def test_without_a_compiler_the_next_backend_is_taken(without_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Backend:
        raise MissingTool("this needs a C compiler", why="there is none", fix="install one")

    monkeypatch.setitem(BACKENDS, "native", missing)
    assert proof.proven("auto").name == "torch"
    monkeypatch.setitem(BACKENDS, "torch", missing)
    proof.proven.cache_clear()
    backends.backend.cache_clear()
    assert proof.proven("auto").name == "numpy"
    graph = INTEGER["residual_cnn"]()
    assert_same(graph, random_inputs(graph, 2), "auto")


@pytest.mark.parametrize(("named", "device"), [("engine@cuda:1", "cuda:1"), ("engine@auto", "cuda")])
@needs_torch
def test_a_device_behind_the_name_is_where_the_engine_computes(
    named: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def on_the_processor(device: str, *, direct: bool) -> Product:
        asked.append(device)
        return torch_product("cpu", direct=direct)

    monkeypatch.setattr(engine, "find_device", lambda name: "cuda" if name == "auto" else name)
    monkeypatch.setattr(backends, "torch_product", on_the_processor)
    graph = INTEGER["residual_cnn"]()
    inputs = random_inputs(graph, 2)
    try:
        target = find(named)
        assert target.name == f"engine@{device}" and device in target.summary
        values = target.prepare(graph, True)(inputs)
        expected = evaluate(graph, inputs, every=True)
        assert asked == [device] and all(np.array_equal(values[name], expected[name]) for name in expected)
        assert target.stream is not None and dict(target.stream(graph, inputs)).keys() == expected.keys()
    finally:
        backends.backend.cache_clear()
        proof.proven.cache_clear()
    assert find("engine@cpu").name == "engine"
