"""What a dump says about itself: every tensor with its role, type, shape, layout, scale, proven bound and sha256.

manifest.json holds schema, format, model (the digest of the graph), target, samples, order (the nodes as they run),
inputs, outputs, tensors, and three roots. A root is the sha256 of the canonical JSON (sorted, no spaces) of the list of
[name, dtype, shape, sha256] of its tensors, sorted by name: an equal root of parameters means the same numbers, whoever
dumped them; the roots of inputs and outputs say which inference it was. sha256 of a tensor: of its elements, row-major,
little-endian, in its dtype, whatever the format of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from arithmos.evidence.witness import auxiliaries
from arithmos.ir.codec import digest, encode_scale
from arithmos.ir.graph import Graph, Node, Shape, producers
from arithmos.ir.interval import Interval, narrowest_dtype

SCHEMA = 1

Role = Literal["input", "parameter", "accumulator", "activation", "auxiliary"]

SUMS = frozenset({"conv", "linear", "matmul", "sum_pool", "reduce_sum"})
"""Their outputs are accumulators, and so is whatever a requantize rounds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a dump. shape: with the batch filled in; bound: the proven range; op: what computed it."""

    name: str
    role: Role
    op: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    scale: dict[str, Any] | None
    bound: tuple[int, int]
    source: str

    @property
    def size_bytes(self) -> int:
        """Size of the elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count * self.item_bytes

    @property
    def item_bytes(self) -> int:
        """Size of one element."""
        return int(self.dtype.lstrip("uint")) // 8


def entries(graph: Graph, samples: int, *, witness: bool, values: str) -> Iterator[Entry]:
    """Every tensor of a dump in its order: parameters, inputs, then the nodes, each followed by its auxiliary values.

    values: a glob on value names; inputs, outputs and parameters are always there.
    """
    rounded = {node.inputs[0] for node in graph.nodes if node.op == "requantize"}
    made = producers(graph)
    for name in graph.constants:
        yield _entry(graph, name, "parameter", "", samples)
    for name in graph.inputs:
        yield _entry(graph, name, "input", "", samples)
    for name, node in made.items():
        if fnmatchcase(name, values) or name in graph.outputs:
            role: Role = "accumulator" if node.op in SUMS or name in rounded else "activation"
            entry = _entry(graph, name, role, node.op, samples)
            yield entry
            if witness:
                yield from (_auxiliary(entry, a.name, a.range) for a in auxiliaries(graph, node))


def document(
    graph: Graph, found: Iterable[tuple[Entry, str, dict[str, str]]], *, format: str, target: str, samples: int
) -> dict[str, Any]:
    """The manifest. found: (entry, sha256, where it lies) of every tensor in order."""
    tensors = [{**facts(entry), "sha256": sha, **where} for entry, sha, where in found]
    groups = {
        "parameters": [t for t in tensors if t["role"] == "parameter"],
        "inputs": [t for t in tensors if t["name"] in graph.inputs],
        "outputs": [t for t in tensors if t["name"] in graph.outputs],
    }
    return {
        "schema": SCHEMA,
        "format": format,
        "model": digest(graph),
        "target": target,
        "samples": samples,
        "order": [node.output for node in graph.nodes],
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "roots": {name: root(group) for name, group in groups.items()},
        "tensors": tensors,
    }


def root(tensors: Iterable[dict[str, Any]]) -> str:
    """sha256 over [name, dtype, shape, sha256] of the tensors, sorted by name."""
    rows = sorted([t["name"], t["dtype"], list(t["shape"]), t["sha256"]] for t in tensors)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def facts(entry: Entry) -> dict[str, Any]:
    """The entry as the manifest has it, without what depends on the file."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(entry)))
    return found


def _entry(graph: Graph, name: str, role: Role, op: str, samples: int) -> Entry:
    value = graph.values[name]
    assert value.range is not None, "only integer graphs are dumped"
    return Entry(
        name,
        role,
        op,
        narrowest_dtype(value.range).name,
        tuple(-extent * samples if extent < 0 else extent for extent in value.shape),
        _layout(graph, name, value.shape),
        None if value.scale is None else encode_scale(value.scale),
        (value.range.lo, value.range.hi),
        str(value.source),
    )


def _auxiliary(of: Entry, name: str, interval: Interval) -> Entry:
    dtype, bound = narrowest_dtype(interval).name, (interval.lo, interval.hi)
    return Entry(name, "auxiliary", of.op, dtype, of.shape, of.layout, None, bound, of.source)


WINDOWED = frozenset({"conv", "max_pool", "sum_pool"})
_SPACE = {1: "L", 2: "HW", 3: "DHW"}


def _layout(graph: Graph, name: str, shape: Shape) -> str:
    """The meaning of the axes, where the ops that touch the value say it: NCHW, OIHW, OI, O; else "row-major"."""
    near = [node for node in graph.nodes if name in (node.output, *node.inputs)]
    return next((found for node in near if (found := _seen_by(node, name, len(shape)))), "row-major")


def _seen_by(node: Node, name: str, rank: int) -> str:
    number = node.inputs.index(name) if name in node.inputs else -1
    if node.op in ("conv", "linear") and number == 2:
        return "O"
    if node.op == "linear":
        return "OI" if number == 1 else ""
    if node.op in WINDOWED and rank - 2 in _SPACE:
        return ("OI" if number == 1 else "NC") + _SPACE[rank - 2]
    return ""
