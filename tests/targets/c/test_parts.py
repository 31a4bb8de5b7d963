"""The parts of the generator, each against its definition: layouts, numerals, identifiers, samples, clipping."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import INT32, Term, clipped, literal, stored_dtype, work_type
from arithmos.targets.c.identifier import KEYWORDS, comment, identifiers
from arithmos.targets.c.layout import Layout, Loop, index, merged_axes, packed, storage_order
from arithmos.targets.c.numerals import numerals
from arithmos.targets.c.sample import Batch, join, split


@given(st.data())
def test_index_expressions_stand_at_the_element(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    order = data.draw(st.permutations(range(len(shape))))
    layout, other = packed(shape, order), packed(shape, data.draw(st.permutations(range(len(shape)))))
    offset = data.draw(st.integers(0, 5))
    other = Layout(shape, other.strides, offset)
    # Loops merged for `layout` alone: the other layout must be read right all the same, by division if need be.
    loops = [Loop(f"i{n}", axes) for n, axes in enumerate(merged_axes(storage_order(layout), [layout]))]
    counts = [math.prod(shape[axis] for axis in loop.axes) for loop in loops]
    for at in itertools.product(*map(range, counts)):
        where = {}
        for loop, counter in zip(loops, at, strict=True):
            extents = [shape[axis] for axis in loop.axes]
            where |= dict(zip(loop.axes, np.unravel_index(counter, extents), strict=True))
        for seen in (layout, other):
            text = index(seen, loops).replace("/", "//")
            value = eval(text, {f"i{n}": counter for n, counter in enumerate(at)})  # noqa: S307 - our own expression
            assert value == seen.offset + sum(int(i) * seen.strides[axis] for axis, i in where.items())


@given(
    st.sampled_from(["uint8", "int8", "uint16", "int16", "int32", "int64"]),
    st.integers(0, 300),
    st.integers(0, 40),
    st.integers(0, 2**32 - 1),
)
def test_numerals_are_the_numbers(dtype: str, size: int, row: int, seed: int) -> None:
    info = np.iinfo(dtype)
    array = np.random.default_rng(seed).integers(info.min, info.max, size, dtype=dtype, endpoint=True)
    array[:2] = [info.min, info.max][: array[:2].size]
    text = b"".join(numerals(array, row)).decode()
    plain = re.sub(r"-?INT64_C\((-?\d+)\)", lambda m: ("-" if m[0][0] == "-" else "") + m[1], text)
    numbers = [eval(cell.strip()) for cell in plain.split(",") if cell.strip()]  # noqa: S307 - numbers and differences of our own
    assert numbers == array.tolist()
    assert all(len(line) <= 124 for line in text.splitlines())


def test_rows_of_weights_fill_whole_lines() -> None:
    lines = b"".join(numerals(np.zeros((3, 160), dtype=np.int8), 160)).decode().splitlines()
    assert {line.count(",") for line in lines} == {32}


@given(st.lists(st.text(max_size=80), unique=True, max_size=8))
def test_identifiers_are_legal_and_different(names: list[str]) -> None:
    found = identifiers(names, {"acc", "k"})
    assert len(set(found.values())) == len(names)
    for text in found.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", text) and text not in KEYWORDS | {"acc", "k"}


@given(st.text(max_size=60))
def test_comments_end_where_they_should(text: str) -> None:
    safe = comment(text)
    assert safe.isascii() and "\n" not in safe and "*/" not in safe and "/*" not in safe and "??" not in safe
    assert not safe.endswith("\\")


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_split_and_join_are_inverse(n: int, outer: int, inner: int, axis: int) -> None:
    shape = [2, 3, 2]
    shape[axis] = outer * n * inner
    array = np.arange(math.prod(shape)).reshape(shape)
    samples = split(array, Batch(axis, outer, inner), n)
    shape[axis] = outer * inner
    assert samples.shape == (n, *shape)
    np.testing.assert_array_equal(join(samples, Batch(axis, outer, inner)), array)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_types_hold_their_ranges(a: int, b: int) -> None:
    interval = Interval(min(a, b), max(a, b))
    info = np.iinfo(stored_dtype(interval))
    assert info.min <= interval.lo and interval.hi <= info.max
    assert (work_type(interval) == "int32_t") == (interval in INT32)
    assert literal(a).range == Interval(a, a)


def test_a_clip_that_does_nothing_is_not_written() -> None:
    x = Term("x", Interval(0, 200), "uint8_t", True)
    assert clipped(x, -5, 255).text == "x"
    assert clipped(x, 0, 127).text == "min32(x, 127)"
    assert clipped(x, 3, 255).text == "max32(x, 3)"
    assert clipped(x, 3, 127).text == "clip32(x, 3, 127)"
    wide = Term("y", Interval(-(1 << 40), 1 << 40), "int64_t", True)
    assert clipped(wide, 0, 255).text == "clip64(y, 0, 255)"
