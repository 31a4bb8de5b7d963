"""One node on torch against the float op set's rows."""

from __future__ import annotations

import numpy as np
import pytest

import samples
from arithmos.ir.graph import Node
from arithmos.ir.ops import FLOAT

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.targets.clear.nodes import run_node


@pytest.mark.parametrize(("op", "number"), samples.FLOAT_EXAMPLES)
def test_every_float_op(op: str, number: int) -> None:
    example, rng = FLOAT[op].examples[number], np.random.default_rng(number)
    arrays = []
    for i, operand in enumerate(example.operands):
        drawn = rng.uniform(operand.range.lo, operand.range.hi, samples.with_batch(operand.shape, 2))
        arrays.append(np.floor(drawn).astype(np.int64) if op == "gather" and i else drawn.astype(np.float32))
        arrays[-1].flags.writeable = not operand.constant  # as in a graph: no warning of torch
    expected = FLOAT[op].run(*arrays, **example.attrs)
    found = run_node(Node(op, tuple(map(str, range(len(arrays)))), "y", example.attrs), arrays)
    assert found.shape == expected.shape
    assert found.dtype.kind == expected.dtype.kind
    assert np.allclose(found, expected, rtol=2e-5, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


def test_arrays_are_not_copied() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(run_node(Node("reshape", ("x",), "y", {"shape": (-3,)}), [x]), x)


def test_operands_stay_as_they_are() -> None:
    x = np.array([[-1.0, 0.0, 2.0]], dtype=np.float32)
    assert run_node(Node("relu", ("x",), "y"), [x]).tolist() == [[0.0, 0.0, 2.0]]
    assert x.tolist() == [[-1.0, 0.0, 2.0]]
