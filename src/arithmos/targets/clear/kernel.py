"""Composite polynomials on float32 arrays: a compiled kernel, or torch in chunks where there is no compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from arithmos.errors import CompileError
from arithmos.extras import require
from arithmos.ir.ops.polynomial import Form
from arithmos.native import available, compile_library
from arithmos.targets.clear.block_form import Blocks, Stage, StageShape, block_form
from arithmos.targets.clear.source import source

FLAGS = ("-O3", "-Wno-psabi", "-fschedule-insns")
PER_THREAD = 1 << 17
"""Numbers that are worth a thread: about 0.2 ms of work, against 0.05 ms to hand it over."""

CHUNK, DEVICE_CHUNK = 1 << 16, 1 << 21
"""Numbers that torch takes at once on the processor, where they stay in the second-level cache, and on other devices:
8 temporaries at most, 2 MB and 64 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """y = f(x) of one polynomial node. stages: in block form; what each factor means stands in `source`."""

    stages: tuple[Stage, ...]
    form: Form
    inward: float
    gain: float
    shift: float
    coefficients: np.ndarray


def kernel_of(stages: Sequence[np.ndarray], *, bound: float | None, form: Form, offset: float, gain: float) -> Kernel:
    """The kernel of a polynomial node's coefficients and attributes, rounded to float32 where they are used."""
    halved = Fraction(1, 2) if form == "relu" else Fraction(1)
    factors = [*[Fraction(2)] * (len(stages) - 1), halved]
    blocks = tuple(block_form(c, factor) for c, factor in zip(stages, factors, strict=True))
    flat = np.array([c for stage in blocks for c in stage.coefficients], dtype=np.float32)
    radius = 1.0 if bound is None else bound
    return Kernel(blocks, form, 2 / radius, gain, offset * radius if form == "relu" else offset, flat)


def evaluate(kernel: Kernel, x: Any, out: Any, *, threads: int = 1) -> float:
    """Write f(x) into `out`, which may be x; both contiguous float32 tensors. Returns max |x|, NaN if there is one.

    Within 2^-18 of float64, in units of B. Compiled for tensors of the processor's memory, else by torch in chunks.
    """
    if x.device.type == "cpu" and compiled():
        return _by_library(kernel, x, out, threads)
    return by_torch(kernel, x, out)


@cache
def compiled() -> bool:
    """Whether there is a C compiler."""
    return available("c")


@cache
def library(shapes: tuple[StageShape, ...], form: Form) -> Any:
    """The compiled function for stages of these shapes: other coefficients of the same degrees need no compiler."""
    text = source(shapes, form)
    try:
        function = compile_library(text, flags=("-march=native", *FLAGS)).evaluate
    except CompileError:  # a compiler that does not know this processor still knows plain C
        function = compile_library(text, flags=FLAGS).evaluate
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_float] * 3]
    function.restype = ctypes.c_float
    return function


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="polynomial")


def _by_library(kernel: Kernel, x: Any, out: Any, threads: int) -> float:
    function = library(tuple(stage.shape for stage in kernel.stages), kernel.form)
    n, size = x.numel(), x.element_size()
    parts = max(1, min(threads, n // PER_THREAD))
    cuts = [n * i // parts for i in range(parts + 1)]

    def run(part: tuple[int, int]) -> float:
        start, stop = part
        addresses = x.data_ptr() + start * size, out.data_ptr() + start * size
        table = kernel.coefficients.ctypes.data
        return float(function(*addresses, stop - start, table, kernel.inward, kernel.gain, kernel.shift))

    if parts == 1:
        return run((0, n))
    peaks = list(_pool(threads).map(run, pairwise(cuts)))
    return float(np.max(peaks))  # numpy's maximum keeps NaN


def by_torch(kernel: Kernel, x: Any, out: Any) -> float:
    """The same in chunks of torch operations, on any device."""
    torch = require("torch", "torch")
    numbers, results = x.reshape(-1), out.reshape(-1)
    size = CHUNK if x.device.type == "cpu" else DEVICE_CHUNK
    peak = 0.0
    for start in range(0, numbers.numel(), size):
        part = numbers[start : start + size]
        peak = float(np.maximum(peak, float(part.abs().max())))
        y = part * kernel.inward
        for stage in kernel.stages:
            y = _stage(torch, stage, y)
        if kernel.form == "relu":
            value = torch.addcmul(torch.full_like(part, kernel.shift), part, y + 0.5)
        else:
            value = y.mul_(kernel.gain).add_(kernel.shift)
        results[start : start + size] = value
    return peak


def _stage(torch: Any, stage: Stage, y: Any) -> Any:
    v = torch.addcmul(torch.full_like(y, -2.0), y, y)
    w = torch.addcmul(torch.full_like(y, -2.0), v, v)
    z = torch.addcmul(torch.full_like(y, -2.0), w, w)
    even = _sum(torch, stage.even, v, z) if stage.even else None
    odd = _sum(torch, stage.odd, v, z).mul_(y) if stage.odd else None
    if even is None or odd is None:
        return torch.zeros_like(y) if even is odd else even if odd is None else odd
    return even.add_(odd)


def _sum(torch: Any, blocks: Blocks, v: Any, z: Any) -> Any:
    after, now = None, None
    for block in reversed(blocks):
        term = torch.full_like(v, block[-1] if block else 0.0)
        for c in reversed(block[:-1]):
            term.mul_(v).add_(c)
        if after is not None:
            term.sub_(after)
        if now is not None:
            term.addcmul_(z, now)
        after, now = now, term
    return now
