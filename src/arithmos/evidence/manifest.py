"""What a dump says about itself: every tensor with its role, type, shape, layout, scale, proven bound and sha256.

manifest.json holds schema, format, model (the digest of the graph), origin, target, samples, nodes (op, inputs, output
and attrs in the order in which they run), inputs, outputs, chunks, field, tensors, and three roots. A root is the
sha256 of the canonical JSON (sorted, no spaces) of the list of [name, dtype, shape, sha256] of its tensors, sorted by
name: an equal root of parameters means the same numbers, whoever dumped them; the roots of inputs and outputs say
which inference it was. sha256 of a tensor: of its elements, row-major, little-endian, in its dtype, whatever the
format of the file and the field it is embedded in. docs/dump.md is the whole of it for a reader who has the dump and
nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Literal

from arithmos.evidence.witness import Auxiliary, auxiliaries
from arithmos.ir.codec import encode_scale
from arithmos.ir.graph import Graph, Node, Shape, producers
from arithmos.ir.interval import narrowest_dtype

SCHEMA = 2

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


def entries(graph: Graph, samples: int, *, witness: bool, values: str, chunks: int = 0) -> Iterator[Entry]:
    """Every tensor of a dump in its order: parameters, inputs, then the nodes, each followed by its auxiliary values.

    values: a glob on value names; inputs, outputs and parameters are always there. chunks: bits of a chunk, 0 for none.
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
                yield from (_auxiliary(entry, a, samples) for a in auxiliaries(graph, node, chunks=chunks))


def document(
    model: Mapping[str, Any], found: Iterable[tuple[Entry, str, Mapping[str, Any]]], **said: Any
) -> dict[str, Any]:
    """The manifest. model: as `codec.encode` gives it; found: (entry, sha256, where and how it lies) of every tensor in
    order; said: the facts that are this dump's own: format, origin, target, samples, chunks, field."""
    tensors = [{**facts(entry), "sha256": sha, **where} for entry, sha, where in found]
    groups = {
        "parameters": [t for t in tensors if t["role"] == "parameter"],
        "inputs": [t for t in tensors if t["name"] in model["inputs"]],
        "outputs": [t for t in tensors if t["name"] in model["outputs"]],
    }
    return {
        "schema": SCHEMA,
        "model": model["digest"],
        **said,
        "nodes": model["nodes"],
        "inputs": model["inputs"],
        "outputs": model["outputs"],
        "roots": {name: root(group) for name, group in groups.items()},
        "tensors": tensors,
    }


def text(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON that a person can read too: a line a node, a line a tensor, a line for everything else."""

    def line(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(json.dumps(item) for item in value) + "\n ]"
        return json.dumps(value)

    return "{\n " + ",\n ".join(f"{json.dumps(key)}: {line(value)}" for key, value in manifest.items()) + "\n}\n"


def root(tensors: Iterable[dict[str, Any]]) -> str:
    """sha256 over [name, dtype, shape, sha256] of the tensors, sorted by name."""
    rows = sorted([t["name"], t["dtype"], list(t["shape"]), t["sha256"]] for t in tensors)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def facts(entry: Entry) -> dict[str, Any]:
    """The entry as the manifest has it, without what depends on the file."""
    found = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return found | {"shape": list(entry.shape), "bound": list(entry.bound)}  # as JSON gives them back


def _entry(graph: Graph, name: str, role: Role, op: str, samples: int) -> Entry:
    value = graph.values[name]
    assert value.range is not None, "only integer graphs are dumped"
    return Entry(
        name,
        role,
        op,
        narrowest_dtype(value.range).name,
        _extents(value.shape, samples),
        _layout(graph, name, value.shape),
        None if value.scale is None else encode_scale(value.scale),
        (value.range.lo, value.range.hi),
        str(value.source),
    )


def _auxiliary(of: Entry, a: Auxiliary, samples: int) -> Entry:
    dtype, bound, shape = narrowest_dtype(a.range).name, (a.range.lo, a.range.hi), _extents(a.shape, samples)
    layout = of.layout if shape == of.shape else "row-major"
    return Entry(a.name, "auxiliary", of.op, dtype, shape, layout, None, bound, of.source)


def _extents(shape: Shape, samples: int) -> tuple[int, ...]:
    return tuple(-extent * samples if extent < 0 else extent for extent in shape)


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
