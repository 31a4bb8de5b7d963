"""Random networks over the whole op set: every target gives the interpreter's integers, on both of its paths."""

from __future__ import annotations

from collections import Counter

import pytest

from arithmos.evidence.verify import verify
from arithmos.ir.graph import Graph
from arithmos.ir.ops import INT
from random_operations import OPS, operations

SAMPLES = {"uniform": 3, "corners": 6, "ties": 0}
"""No ties: the search for them in a wide input can take seconds, and test_verify has them."""
BLOCKS = [range(start, start + 20) for start in range(0, 100, 20)]
TOGETHER = [range(200, 208), range(208, 216)]
"""Compiling takes longest: several networks in one program."""


def disagreements(graph: Graph, target: str) -> str:
    """The table of the verification, "" if every value is equal."""
    check = verify(graph, targets=(target,), **SAMPLES)
    if check.skipped and "nstall" in check.rows[0].skipped:
        pytest.skip(check.rows[0].skipped)
    return "" if check.ok else f"{[node.op for node in graph.nodes]}\n{check}"


def test_every_op_is_drawn() -> None:
    assert set(OPS) == set(INT)
    counts = Counter(node.op for block in BLOCKS for seed in block for node in operations(seed).nodes)
    assert min(counts[op] for op in INT) >= 5, counts


@pytest.mark.parametrize("target", ["engine", "onnx"])
@pytest.mark.parametrize("seeds", BLOCKS, ids=str)
def test_random_networks(seeds: range, target: str) -> None:
    found = {seed: text for seed in seeds if (text := disagreements(operations(seed), target))}
    assert not found, "\n".join(f"seed {seed}: {text}" for seed, text in found.items())


@pytest.mark.parametrize("seeds", TOGETHER, ids=str)
def test_random_networks_in_c(seeds: range) -> None:
    assert not disagreements(operations(*seeds), "c")
