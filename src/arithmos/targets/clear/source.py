"""The C source of a composite polynomial: every stage unrolled, one pass over memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from arithmos.ir.ops.polynomial import Form
from arithmos.targets.clear.block_form import StageShape

LANES, STREAMS = 16, 4
"""Floats in a vector, and vectors that are computed side by side so that none waits for another."""

HEAD = """#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64)));
typedef int32_t bits __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));

enum { LANES = %d, STREAMS = %d };

static inline vec all(float c) { return (vec){} + c; }

static inline bits larger(bits a, bits b)
{
    bits above = a > b;
    return (a & above) | (b & ~above);
}
"""

TAIL = """
/* y[i] = f(x[i]) with the coefficients c; x and y may be one. Returns the largest magnitude of x; NaN counts as the
   largest of all, for so its bits compare. */
float evaluate(const float *x, float *y, int64_t n, const float *c, float inward, float gain, float shift)
{
    bits peak = {};
    int64_t i = 0;
    for (; i + LANES * STREAMS <= n; i += LANES * STREAMS)
        block(x + i, y + i, c, inward, gain, shift, &peak);
    if (i < n) {
        float rest[LANES * STREAMS] = {0};
        memcpy(rest, x + i, (n - i) * sizeof *x);
        block(rest, rest, c, inward, gain, shift, &peak);
        memcpy(y + i, rest, (n - i) * sizeof *x);
    }
    int32_t top = 0;
    for (int k = 0; k < LANES; k++)
        top = peak[k] > top ? peak[k] : top;
    float magnitude;
    memcpy(&magnitude, &top, sizeof top);
    return magnitude;
}
"""


def source(shapes: Sequence[StageShape], form: Form) -> str:
    """The text of `float evaluate(x, y, n, c, inward, gain, shift)`: inward x = 2 x / B goes into the first stage.

    c: the coefficients of all stages in order, each stage's as `Stage.coefficients` lists them; every stage but the
    last gives twice its value, the last one half of it for relu. relu: y = x (1/2 + p/2) + shift; value: y = gain p +
    shift.
    """
    number = count()
    lines = [f"vec x{s} = *(const loose *)(x + {s} * LANES), y{s} = x{s} * inward;" for s in range(STREAMS)]
    lines += _each("*peak = larger((bits)x{s} & 0x7fffffff, *peak);")
    for i, shape in enumerate(shapes):
        lines += _stage(shape, number, "0.5f" if form == "relu" and i == len(shapes) - 1 else "")
    result = "x{s} * y{s} + shift" if form == "relu" else "gain * y{s} + shift"
    lines += _each(f"*(loose *)(y + {{s}} * LANES) = {result};")
    body = "\n".join(f"    {line}" for line in lines)
    head = (
        "static inline void block(const float *x, float *y, const float *c, float inward, float gain, float shift, "
        "bits *peak)"
    )
    return f"{HEAD % (LANES, STREAMS)}\n{head}\n{{\n{body}\n}}\n{TAIL}"


def _stage(shape: StageShape, number: Iterator[int], start: str) -> list[str]:
    """Statements that put start + p into y0, y1, …, each written for every stream before the next one begins."""
    even, odd = shape
    longest, widest = max(len(even), len(odd)), max((*even, *odd), default=0)
    lines = ["{"]
    lines += _each("vec v{s} = y{s} * y{s} - 2.0f;") if widest > 1 or longest > 1 else []
    lines += _each("vec w{s} = v{s} * v{s} - 2.0f, z{s} = w{s} * w{s} - 2.0f;") if longest > 1 else []
    parts = []
    for name, blocks, text in (("e", even, "e0_{s}"), ("o", odd, "y{s} * o0_{s}")):
        if blocks:
            lines += _sum(name, blocks, number)
            parts.append(text)
    parts += [start] if start else []
    return [*lines, *_each(f"y{{s}} = {' + '.join(parts) if parts else 'all(0.0f)'};"), "}"]


def _sum(name: str, blocks: tuple[int, ...], number: Iterator[int]) -> list[str]:
    """b_i = B_i - b_{i+2} + Z b_{i+1}, from the last block down; the sum is b_0."""
    terms = [_horner([next(number) for _ in range(size)]) for size in blocks]
    lines: list[str] = []
    for i in reversed(range(len(blocks))):
        term = terms[i]
        if i + 2 < len(blocks):
            term = f"({term} - {name}{i + 2}_{{s}})"
        if i + 1 < len(blocks):
            term = f"z{{s}} * {name}{i + 1}_{{s}} + {term}"
        lines += _each(f"vec {name}{i}_{{s}} = {term};")
    return lines


def _horner(numbers: Sequence[int]) -> str:
    if not numbers:
        return "all(0.0f)"
    text = f"all(c[{numbers[-1]}])"
    for i in reversed(numbers[:-1]):
        text = f"({text} * v{{s}} + c[{i}])"
    return text


def _each(statement: str) -> list[str]:
    return [statement.format(s=s) for s in range(STREAMS)]
