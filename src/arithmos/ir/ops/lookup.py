"""Values found by an index: table (one integer in, one out) and gather (rows of a matrix)."""

from __future__ import annotations

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.interval import Interval, interval_of
from arithmos.ir.ops.op import Example, Fact, Op, Operand, expect


def _table_infer(x: Shape, entries: Shape, *, offset: int, axis: int | None) -> Shape:
    if axis is None:
        expect(len(entries) == 1, f"a shared table has one axis, got {entries}")
    else:
        expect(0 <= axis < len(x) and x[axis] > 0, f"axis {axis} is not an axis of {x} with its own tables")
        expect(len(entries) == 2 and entries[0] == x[axis], f"{x[axis]} channels need as many tables, got {entries}")
    return x


def _table_run(x: np.ndarray, entries: np.ndarray, *, offset: int, axis: int | None) -> np.ndarray:
    """entries[x - offset], or entries[c, x - offset] with c the index along `axis`."""
    if axis is None:
        return np.asarray(entries[x - offset])
    channel = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.asarray(entries[channel, x - offset])


def _table_bound(x: Fact, entries: Fact, *, offset: int, axis: int | None) -> Interval:
    expect(entries.array is not None, "the entries of a table must be constant")
    assert entries.array is not None
    domain = Interval(offset, offset + entries.shape[-1] - 1)
    expect(x.range in domain, f"the input range {x.range} leaves the domain {domain} of the table (clip it)")
    return interval_of(entries.array[..., x.range.lo - offset : x.range.hi - offset + 1])


def _gather_infer(data: Shape, indices: Shape) -> Shape:
    expect(len(data) >= 1 and all(e > 0 for e in data), f"gather takes rows of a constant, got {data}")
    return (*indices, *data[1:])


def _gather_run(data: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.asarray(data[indices])


def _gather_bound(data: Fact, indices: Fact) -> Interval:
    rows = Interval(0, data.shape[0] - 1)
    expect(indices.range in rows, f"the index range {indices.range} leaves the {data.shape[0]} rows")
    return data.range


OPS = {
    "table": Op(
        _table_infer,
        _table_run,
        _table_bound,
        (
            Example(
                (Operand((-1, 3, 4)), Operand((256,), Interval(-1000, 1000), constant=True)),
                {"offset": -128, "axis": None},
            ),
            Example(
                (Operand((-1, 3, 4), Interval(0, 15)), Operand((3, 16), constant=True)),
                {"offset": 0, "axis": 1},
            ),
        ),
    ),
    "gather": Op(
        _gather_infer,
        _gather_run,
        _gather_bound,
        (Example((Operand((11, 4), constant=True), Operand((-1, 5), Interval(0, 10)))),),
    ),
}
