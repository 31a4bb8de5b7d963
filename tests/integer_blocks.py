"""Blocks of transformers in integer ops: softmax and layer norm, every step an integer and every range proven."""

from __future__ import annotations

import math

import numpy as np

from arithmos.approx.tables import entries
from arithmos.ir.build import Builder
from arithmos.ir.interval import Interval
from arithmos.ir.scale import exact_scale

EXP_BITS = 20
"""exp2 of a fraction is an integer over 2**20."""

FRACTION_BITS = 12
PROBABILITY_BITS = 8
NORM_BITS = 16
"""Layer norm: normalised values are integers over 2**16."""

ROOT_BITS = 6
"""Layer norm: the root has 6 more bits than the deviation it is taken of."""


def number(b: Builder, value: int) -> str:
    """A constant of one number."""
    return b.constant("number", np.asarray(value))


def exp2_tables() -> tuple[np.ndarray, np.ndarray]:
    """T1[i] = 2**20 * 2**(-i/64), T2[j] = 2**20 * 2**(-j/4096), rounded half up; their product covers 12 bits."""
    ln2 = math.log(2)
    one = Interval(0, 1 << EXP_BITS)
    coarse = entries("exp", -ln2 / 64, Interval(0, 63), 2.0**-EXP_BITS, one)
    fine = entries("exp", -ln2 / 4096, Interval(0, 63), 2.0**-EXP_BITS, one)
    return coarse, fine


def softmax(b: Builder, x: str, step: float, mask: np.ndarray | None = None) -> str:
    """Probabilities over the last axis in units of 2**-8; masked terms (mask 0) are absent and get 0.

    t = max - x; u = t * step * log2(e) with 12 fractional bits; e = 2**-u by two tables and a shift;
    p = floor((2 e 2**8 + sum) / (2 sum)), the half-up rounding of 2**8 e / sum.
    """
    value = b.values[x]
    assert value.range is not None
    last = len(value.shape) - 1
    keep = None if mask is None else b.constant("mask", mask)
    seen = x if keep is None else b.add("where", keep, x, number(b, value.range.lo), name="seen")
    top = b.add("reduce_max", seen, axes=(last,), keepdims=True, name="top")
    below = b.add("clip", b.add("sub", top, x), lo=0, hi=None, name="below")
    shift = 16
    multiplier = math.floor(2.0**shift * step * 2**FRACTION_BITS / math.log(2) + 0.5)
    widest = (41 << FRACTION_BITS) - 1
    u = b.add("requantize", below, number(b, multiplier), shift=shift, lo=0, hi=widest, name="u")
    z = b.add("shift_right", u, number(b, FRACTION_BITS), name="z")
    whole = b.add("mul", z, number(b, 1 << FRACTION_BITS))
    fraction = b.add("clip", b.add("sub", u, whole), lo=0, hi=(1 << FRACTION_BITS) - 1, name="fraction")
    high = b.add("shift_right", fraction, number(b, 6), name="high")
    low = b.add("clip", b.add("sub", fraction, b.add("mul", high, number(b, 64))), lo=0, hi=63, name="low")
    coarse, fine = exp2_tables()
    t1 = b.add("table", high, b.constant("exp2.coarse", coarse), offset=0, axis=None)
    t2 = b.add("table", low, b.constant("exp2.fine", fine), offset=0, axis=None)
    one = 1 << EXP_BITS
    product = b.add("requantize", b.add("mul", t1, t2), shift=EXP_BITS, lo=0, hi=one)
    e = b.add("shift_right", product, z, name="exp")
    e = e if keep is None else b.add("where", keep, e, number(b, 0), name="exp.kept")
    # The maximum contributes 2**20, so the clip changes nothing: it proves that the divisor is positive.
    total = b.add("clip", b.add("reduce_sum", e, axes=(last,), keepdims=True), lo=one, hi=None, name="sum")
    numerator = b.add("add", b.add("mul", e, number(b, 2 << PROBABILITY_BITS)), total)
    ratio = b.add("floor_div", numerator, b.add("mul", total, number(b, 2)))
    return b.add("clip", ratio, lo=0, hi=1 << PROBABILITY_BITS, name="probability")


def layer_norm(
    b: Builder, x: str, step: float, gamma: np.ndarray, beta: np.ndarray, out_step: float, out: Interval, eps: float
) -> str:
    """(x - mean) / sqrt(var + eps) * gamma + beta over the last axis, in units of out_step, with one division.

    y = N x - sum; V = N sum(x^2) - sum^2 + round(N^2 eps / step^2); r = isqrt(V 4**6);
    n = floor((y 2**22 + r // 2) / r), the normalised value over 2**16; then one requantize with gamma and beta.
    """
    value = b.values[x]
    count, last = value.shape[-1], len(value.shape) - 1
    total = b.add("reduce_sum", x, axes=(last,), keepdims=True, name="sum")
    squares = b.add("reduce_sum", b.add("mul", x, x), axes=(last,), keepdims=True, name="squares")
    centred = b.add("sub", b.add("mul", x, number(b, count)), total, name="centred")
    deviation = b.add("sub", b.add("mul", squares, number(b, count)), b.add("mul", total, total))
    floor = max(1, math.floor(count**2 * eps / step**2 + 0.5))
    deviation = b.add("add", b.add("clip", deviation, lo=0, hi=None), number(b, floor), name="deviation")
    root = b.add("isqrt", b.add("mul", deviation, number(b, 1 << 2 * ROOT_BITS)), name="root")
    numerator = b.add("mul", centred, number(b, 1 << (NORM_BITS + ROOT_BITS)))
    half = b.add("shift_right", root, number(b, 1))
    limit = math.ceil(math.sqrt(count) * 2**NORM_BITS) + 1
    normal = b.add("floor_div", b.add("add", numerator, half), root)
    normal = b.add("clip", normal, lo=-limit, hi=limit, name="normal")  # Cauchy-Schwarz: nothing is cut
    shift = 24
    gain = np.floor(gamma * 2.0**shift / (out_step * 2.0**NORM_BITS) + 0.5).astype(np.int64)
    offset = np.floor(beta * 2.0**shift / out_step + 0.5).astype(np.int64)
    scaled = b.add("add", b.add("mul", normal, b.constant("gain", gain)), b.constant("offset", offset))
    return b.add("requantize", scaled, shift=shift, lo=out.lo, hi=out.hi, name="normed", scale=exact_scale(out_step))
