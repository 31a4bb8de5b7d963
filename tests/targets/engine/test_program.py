"""Every kernel, on every path, against int64 numpy: equal integers on awkward shapes, extreme values and ties."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from arithmos.errors import CompileError
from arithmos.ir.interval import Interval, narrowest_dtype, signed, unsigned
from arithmos.ir.ops import INT
from arithmos.native import compile_library
from arithmos.targets.engine import library
from arithmos.targets.engine.library import DOUBLE, FLOAT, INT64, PATHS, kernels
from arithmos.targets.engine.pack import PackedFinish, pack_finish
from arithmos.targets.engine.program import Program
from arithmos.targets.engine.step import Conv, Copy, Join, Load, Pool, Requantize, Step, Store, Table, Tensor, Term

paths = pytest.mark.parametrize("path", PATHS)


def numpy_steps(steps: Sequence[Step], arrays: list[np.ndarray]) -> list[np.ndarray]:
    """What the steps mean, in int64: the arrays that they store, in order."""
    values: dict[Tensor, np.ndarray] = {}
    stored = []
    for step in steps:
        match step:
            case Load():
                values[step.tensor] = arrays[step.external].astype(np.int64)
            case Store():
                stored.append(values[step.tensor])
            case Conv():
                pads = []
                for axis, (size, out) in enumerate(
                    zip((step.input.height, step.input.breadth), (step.output.height, step.output.breadth), strict=True)
                ):
                    reach = (out - 1) * step.stride[axis] + (step.weight.shape[2 + axis] - 1) * step.dilation[axis] + 1
                    pads.append((step.padding[axis], max(0, reach - step.padding[axis] - size)))
                inputs = [values[step.input], step.weight.astype(np.int64)]
                inputs += [] if step.bias is None else [step.bias.astype(np.int64)]
                attrs = {
                    "stride": step.stride,
                    "padding": tuple(pads),
                    "dilation": step.dilation,
                    "groups": step.groups,
                }
                acc = INT["conv"].run(*inputs, **attrs)[:, :, : step.output.height, : step.output.breadth]
                values[step.output] = acc if step.requantize is None else rounded(acc, step.requantize, values)
            case Join():
                like = next(iter(values.values()))
                shape = (like.shape[0], step.output.channels, step.output.height, step.output.breadth)
                acc = np.zeros(shape, dtype=np.int64) if step.input is None else values[step.input]
                values[step.output] = rounded(acc, step.requantize, values)
            case Pool():
                attrs = {"kernel": step.kernel, "stride": step.stride, "padding": tuple((p, p) for p in step.padding)}
                values[step.output] = INT[f"{step.kind}_pool"].run(values[step.input], **attrs)
            case Copy():
                source = values[step.input]
                shape = (source.shape[0], step.output.channels, *source.shape[2:])
                whole = values.setdefault(step.output, np.zeros(shape, dtype=np.int64))
                whole[:, step.first : step.first + source.shape[1]] = source
            case Table():
                values[step.output] = step.entries[values[step.input] - step.offset].astype(np.int64)
    return stored


def rounded(acc: np.ndarray, requantize: Requantize, values: dict[Tensor, np.ndarray]) -> np.ndarray:
    column = (-1, 1, 1)
    total = acc * np.broadcast_to(requantize.multiplier, acc.shape[1]).reshape(column) + ((1 << requantize.shift) >> 1)
    if requantize.constant is not None:
        total = total + np.broadcast_to(requantize.constant, acc.shape[1]).reshape(column)
    for term in requantize.terms:
        by = np.broadcast_to(term.multiplier, acc.shape[1])
        part = values[term.tensor][:, :, :: term.stride[0], :: term.stride[1]][:, :, : acc.shape[2], : acc.shape[3]]
        for c in range(acc.shape[1]):
            if 0 <= c + term.channel < part.shape[1]:
                total[:, c] += by[c] * part[:, c + term.channel]
    return np.clip(total >> requantize.shift, requantize.lo, requantize.hi)


def pitches(tensor: Tensor) -> tuple[int, int, int, int]:
    space = tensor.height * tensor.breadth
    return (tensor.channels * space, space, tensor.breadth, 1)


def check(
    steps: list[Step], inputs: list[np.ndarray], outputs: list[Tensor], path: str, block: int = 0, threads: int = 1
) -> None:
    """Run the steps with a store of every output behind them, and compare with numpy."""
    stores: list[Step] = [Store(t, len(inputs) + i, "int64", pitches(t)) for i, t in enumerate(outputs)]
    images = inputs[0].shape[0]
    found = [np.full((images, t.channels, t.height, t.breadth), -99, dtype=np.int64) for t in outputs]
    Program([*steps, *stores], kernels(path), block).run([*inputs, *found], images, threads)
    for want, got in zip(numpy_steps([*steps, *stores], inputs), found, strict=True):
        np.testing.assert_array_equal(got, want)


def image(rng: np.random.Generator, tensor: Tensor, images: int) -> np.ndarray:
    """Integers of the tensor's whole range, with many at its ends."""
    lo, hi = tensor.range.lo, tensor.range.hi
    x = rng.integers(lo, hi, (images, tensor.channels, tensor.height, tensor.breadth), endpoint=True)
    ends = rng.integers(0, 4, x.shape)
    return np.where(ends == 0, lo, np.where(ends == 1, hi, x)).astype(narrowest_dtype(tensor.range))


def load(tensor: Tensor, x: np.ndarray, external: int = 0) -> Load:
    return Load(tensor, external, x.dtype.name, pitches(tensor))


def random_requantize(
    rng: np.random.Generator, acc: np.ndarray, bound: int, out: Interval, terms: tuple[Tensor, ...] = ()
) -> tuple[np.ndarray, Requantize]:
    """Multipliers of every size and sign, such that the results spread over the whole range and a little beyond.

    acc: accumulators as they will come; bound: their proven magnitude. Returns the factors of the terms, too.
    """
    channels = acc.shape[1]
    shift = int(rng.choice([0, 1, 8, 16, 24, 31, 40]))
    reach = (out.hi - out.lo + 1) << shift

    def factors(typical: int) -> np.ndarray:
        top = int(np.clip(reach // max(typical, 1), 1, (1 << 24) - 1))
        found = rng.integers(-top, top, channels, endpoint=True)
        return (
            np.full(channels, 1 << (top.bit_length() - 1)) if rng.integers(3) == 0 else np.where(found == 0, top, found)
        )

    multiplier = factors(int(np.abs(acc).mean()))
    of_terms = np.array([factors(2 * t.range.magnitude) for t in terms]).reshape(len(terms), channels)
    constant = rng.integers(-reach // 8 - 1, reach // 8 + 1, channels) if rng.integers(2) else None
    return of_terms, Requantize(Interval(-bound, bound), multiplier, shift, out.lo, out.hi, (), constant)


RANGES = (unsigned(8), signed(8), Interval(0, 15), Interval(-7, 7), Interval(-127, 127), Interval(-5000, 70000))


def random_conv(rng: np.random.Generator) -> tuple[list[Step], list[np.ndarray], list[Tensor]]:
    """One convolution of any geometry, with any end."""
    groups = int(rng.choice([1, 1, 1, 2, 3, 8]))
    channels = (
        groups * int(rng.choice([1, 3, 4, 5, 16, 17, 33])) if groups == 1 else groups * int(rng.choice([1, 2, 5]))
    )
    out = groups * int(rng.choice([1, 2, 5])) if groups > 1 else int(rng.choice([1, 5, 10, 16, 17, 32, 33, 48, 80]))
    if groups > 1 and rng.integers(2):
        channels = out = groups = int(rng.choice([1, 5, 16, 24, 33]))
    kernel = tuple(int(k) for k in rng.choice([1, 2, 3, 5, 7], 2))
    stride, dilation = (tuple(int(s) for s in rng.integers(1, 4, 2)) for _ in range(2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    size = [int(rng.integers(1, 18)) + (k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    behind = [int(rng.integers(0, k)) for k in kernel]
    space = [
        (n + p + b - d * (k - 1) - 1) // s + 1
        for n, p, b, d, k, s in zip(size, padding, behind, dilation, kernel, stride, strict=True)
    ]
    x = Tensor(channels, *size, RANGES[rng.integers(5)])
    if channels <= 4 and rng.integers(2):
        x = Tensor(channels, *size, x.range, compact=True)
    weight = rng.integers(-128, 127, (out, channels // groups, *kernel), endpoint=True)
    weight[rng.integers(out)] = rng.choice([-128, 127])
    bias = rng.integers(-(1 << 20), 1 << 20, out) if rng.integers(2) else None
    bound = int(np.abs(weight).reshape(out, -1).sum(axis=1).max()) * x.range.magnitude + (1 << 20)
    images = int(rng.integers(1, 6))
    inputs = [image(rng, x, images)]
    steps: list[Step] = [load(x, inputs[0])]
    geometry = (weight, bias, stride, padding, dilation, groups)
    raw = Tensor(out, *space, Interval(-bound, bound))
    steps.append(Conv(x, raw, *geometry))
    acc = numpy_steps([*steps, Store(raw, 0, "int64", pitches(raw))], inputs)[0]
    result = RANGES[rng.integers(len(RANGES))]
    views, extras = [], []
    for _ in range(rng.integers(0, 3)):
        by = tuple(int(s) for s in rng.integers(1, 3, 2))
        extras.append(Tensor(out, space[0] * by[0], space[1] * by[1], RANGES[rng.integers(len(RANGES))]))
        views.append((by, int(rng.integers(-min(out, 9), min(out, 9), endpoint=True))))
        inputs.append(image(rng, extras[-1], images))
        steps.append(load(extras[-1], inputs[-1], len(inputs) - 1))
    factors, requantize = random_requantize(rng, acc, bound, result, tuple(extras))
    terms = []
    for extra, (by, offset), factor in zip(extras, views, factors, strict=True):
        inside = [0 <= c + offset < out for c in range(out)]
        terms.append(Term(extra, np.where(inside, factor, 0), by, offset))
    y = Tensor(out, *space, result)
    steps.append(Conv(x, y, *geometry, replace(requantize, terms=tuple(terms))))
    return steps, inputs, [raw, y]


@pytest.mark.parametrize(("path", "seed"), [(p, s) for p in PATHS for s in range(80 if p == "native" else 30)])
def test_convolution(path: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(*random_conv(rng), path, block=int(rng.integers(0, 4)), threads=int(rng.integers(1, 4)))


@paths
@pytest.mark.parametrize("out", RANGES[:3])
def test_ties_and_limits_of_requantize(path: str, out: Interval) -> None:
    """acc * mul is just below, on and just above every half, at both ends of the clip and far outside."""
    shift = 6
    centres = np.arange(out.lo - 3, out.hi + 4)
    numerators = ((centres[:, None] << shift) + (1 << (shift - 1)) + np.array([-1, 0, 1])).ravel()
    numerators = np.concatenate([numerators, [-(2**31), 2**31 - 1, -(2**24), 2**24, 2**24 + 1]])
    for multiplier in (1, -1, 3, 2**24 - 1, -(2**24) + 1):
        x = Tensor(1, 1, numerators.size, signed(32))
        y = Tensor(1, 1, numerators.size, out)
        requantize = Requantize(x.range, np.array([multiplier]), shift, out.lo, out.hi)
        data = numerators.astype(np.int32).reshape(1, 1, 1, -1)
        check([load(x, data), Join(x, y, requantize)], [data], [y], path)


@paths
def test_float_form_is_exact_just_below_every_threshold(path: str) -> None:
    """acc * multiplier = threshold - delta, delta 0..3 of 2**24: products of 31 bits; rounded ones would reach it."""
    shift = 24
    thresholds = (np.arange(1, 256) << shift) - (1 << (shift - 1))
    pairs = []
    for delta in range(4):
        acc = np.arange(257, 4000)
        hit = (thresholds[:, None] - delta) % acc == 0
        rows, columns = np.nonzero(hit & (thresholds[:, None] < acc << 24))
        pairs += [(acc[j], (thresholds[i] - delta) // acc[j]) for i, j in zip(rows, columns, strict=True)]
    accumulators, multiplier = np.array(pairs).T
    assert len(pairs) > 1000
    x = Tensor(len(pairs), 1, 1, Interval(0, 4000))
    y = Tensor(len(pairs), 1, 1, unsigned(8))
    requantize = Requantize(x.range, multiplier, shift, 0, 255)
    packed = pack_finish(requantize, y)
    assert packed is not None and packed.kind == FLOAT
    data = accumulators.astype(np.int32).reshape(1, -1, 1, 1)
    check([load(x, data), Join(x, y, requantize)], [data], [y], path)


def test_float_form_is_refused_where_it_is_not_proven() -> None:
    y = Tensor(4, 1, 1, unsigned(8))
    residual = Term(y, np.full(4, (1 << 23) + 1))
    wide = Tensor(4, 1, 1, Interval(0, 999))

    def form(
        acc: Interval = signed(8), multiplier: int = 5, out: Tensor = y, terms: tuple[Term, ...] = ()
    ) -> PackedFinish | None:
        return pack_finish(Requantize(acc, np.array([multiplier]), 24, 0, out.range.hi, terms), out)

    def kind(packed: PackedFinish | None) -> int:
        assert packed is not None
        return packed.kind

    assert kind(form()) == FLOAT
    assert kind(form(acc=Interval(0, 1 << 24))) == FLOAT
    assert kind(form(acc=Interval(0, (1 << 24) + 1))) == DOUBLE
    assert kind(form(multiplier=(1 << 25) + 2)) == DOUBLE
    assert kind(form(terms=(residual,))) == DOUBLE
    assert kind(form(acc=signed(32), multiplier=1 << 23)) == INT64
    assert kind(form(terms=(Term(y, np.full(4, 1 << 23)),))) == FLOAT
    assert kind(form(out=wide)) == INT64
    assert form(multiplier=1 << 31) is None


@paths
@pytest.mark.parametrize("seed", range(12))
def test_pooling_join_and_table(path: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, height, breadth = int(rng.choice([1, 3, 16, 20])), int(rng.integers(3, 12)), int(rng.integers(3, 12))
    kernel, stride = (
        (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
    )
    padding = (kernel[0] // 2, kernel[1] // 2)
    space = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip((height, breadth), padding, kernel, stride, strict=True)]
    x = Tensor(channels, height, breadth, RANGES[rng.integers(len(RANGES))], compact=False)
    maximum = Tensor(channels, *space, x.range)
    total = Tensor(channels, *space, Interval(-(1 << 20), 1 << 20))
    window = (kernel, stride, padding)
    data = image(rng, x, int(rng.integers(1, 5)))
    joined = Tensor(channels, *space, RANGES[rng.integers(5)])
    sums = numpy_steps(
        [load(x, data), Pool("sum", x, total, *window), Store(total, 0, "int64", pitches(total))], [data]
    )[0]
    factors, requantize = random_requantize(rng, sums, 1 << 20, joined.range, (maximum, total))
    requantize = replace(requantize, terms=(Term(maximum, factors[0]), Term(total, factors[1])))
    steps: list[Step] = [load(x, data), Pool("max", x, maximum, *window), Pool("sum", x, total, *window)]
    steps.append(Join(total if rng.integers(2) else None, joined, requantize))
    result = Tensor(channels, *space, RANGES[rng.integers(5)])
    entries = rng.integers(result.range.lo, result.range.hi, joined.range.hi - joined.range.lo + 1, endpoint=True)
    steps.append(Table(joined, result, entries, joined.range.lo))
    check(steps, [data], [maximum, total, joined, result], path, threads=2)


@paths
@pytest.mark.parametrize("out", [unsigned(8), signed(8), signed(32)])
def test_concatenation_of_every_type(path: str, out: Interval) -> None:
    """Bytes, signed or not, and int32 side by side; a convolution behind finds the margin of the whole filled."""
    rng = np.random.default_rng(5)
    kinds = [r for r in (Interval(0, 100), Interval(-100, 100), Interval(-(1 << 20), 1 << 20)) if r in out or r == out]
    parts = [Tensor(int(rng.integers(1, 20)), 5, 4, kinds[i % len(kinds)]) for i in range(6)]
    data = [image(rng, part, 3) for part in parts]
    whole = Tensor(sum(p.channels for p in parts), 5, 4, out)
    starts = np.cumsum([0, *(p.channels for p in parts)])
    steps: list[Step] = [load(p, x, i) for i, (p, x) in enumerate(zip(parts, data, strict=True))]
    steps += [Copy(part, whole, int(start)) for part, start in zip(parts, starts, strict=False)]
    outputs = [whole]
    if whole.width == 1:
        outputs.append(Tensor(7, 5, 4, Interval(-(1 << 24), 1 << 24)))
        steps.append(Conv(whole, outputs[1], rng.integers(-127, 128, (7, whole.channels, 3, 3)), None, padding=(1, 1)))
    check(steps, data, outputs, path, block=2)


@paths
def test_full_window_is_a_linear_layer(path: str) -> None:
    """Pixels of one output pixel an image run across images; blocks that are not full included."""
    rng = np.random.default_rng(3)
    x = Tensor(20, 3, 2, signed(8))
    y = Tensor(35, 1, 1, signed(8))
    weight = rng.integers(-128, 128, (35, 20, 3, 2))
    data = image(rng, x, 11)
    raw = Tensor(35, 1, 1, signed(32))
    steps: list[Step] = [load(x, data), Conv(x, raw, weight, None)]
    acc = numpy_steps([*steps, Store(raw, 0, "int64", pitches(raw))], [data])[0]
    steps.append(Conv(x, y, weight, None, requantize=random_requantize(rng, acc, 1 << 22, signed(8))[1]))
    check(steps, [data], [raw, y], path, block=4, threads=2)


def test_threads_share_a_program_without_mixing_their_images() -> None:
    """Two callers at once, each with threads of its own."""
    rng = np.random.default_rng(4)
    x, y = Tensor(8, 9, 9, unsigned(8)), Tensor(16, 9, 9, Interval(-(1 << 20), 1 << 20))
    data = [image(rng, x, 13) for _ in range(8)]
    steps = [
        load(x, data[0]),
        Conv(x, y, rng.integers(-127, 128, (16, 8, 3, 3)), None, padding=(1, 1)),
        Store(y, 1, "int32", pitches(y)),
    ]
    program = Program(steps, kernels())

    def run(batch: np.ndarray) -> np.ndarray:
        out = np.zeros((13, 16, 9, 9), dtype=np.int32)
        program.run([batch, out], 13, 2)
        return out

    with ThreadPoolExecutor(4) as pool:
        for batch, got in zip(data, pool.map(run, data), strict=True):
            np.testing.assert_array_equal(got, numpy_steps(steps, [batch])[0])


def test_a_compiler_that_does_not_know_the_processor_builds_plain_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def picky(source: str, *, flags: tuple[str, ...]) -> ctypes.CDLL:
        asked.append(flags)
        if "-march=native" in flags:
            raise CompileError("the compiler refused generated source", why="unknown processor", fix="use a newer one")
        return compile_library(source, flags=flags)

    monkeypatch.setattr(library, "compile_library", picky)
    found = kernels.__wrapped__("plain")
    assert len(asked) == 2 and library.instructions(found) == "plain"


def test_paths_are_made_of_what_they_say() -> None:
    assert library.instructions(kernels("plain")) == "plain"
    assert library.instructions(kernels("avx2")) in ("avx2", "plain")
    assert "512" not in library.instructions(kernels("vnni256"))
