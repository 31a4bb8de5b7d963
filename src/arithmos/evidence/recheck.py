"""Check a dump without the network it came from: everything that is needed is in the dump itself."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from arithmos.errors import UsageError
from arithmos.evidence.compare import Difference, difference
from arithmos.evidence.dump import GRAPH_FILE, MANIFEST_FILE, exactly
from arithmos.evidence.field import Field, integers, of_document, stored_facts
from arithmos.evidence.field import stored as in_file
from arithmos.evidence.manifest import SCHEMA, Entry, document, entries, facts
from arithmos.evidence.product import EXACT
from arithmos.evidence.tensor_files import FORMATS
from arithmos.evidence.witness import witness as with_witness
from arithmos.ir.check import problems_of
from arithmos.ir.codec import decode, encode, malformed
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import interpret
from arithmos.ir.interval import Interval, interval_of

_DAMAGE = (ValueError, KeyError, OSError, SafetensorError, zipfile.BadZipFile)
"""What reading a tensor raises where its file is damaged or missing."""


@dataclass(frozen=True, slots=True)
class DumpCheck:
    """Whether a dump is one honest inference. problems: in the order of the dump, the first wrong tensor first."""

    problems: tuple[str, ...]
    first_difference: Difference | None
    tensors: int
    elements: int

    @property
    def ok(self) -> bool:
        """Whether nothing is inconsistent."""
        return not self.problems

    def __str__(self) -> str:
        if self.ok:
            return f"consistent: {self.tensors:,} tensors, {self.elements:,} elements recomputed"
        return "\n".join(["inconsistent", *(f"  {problem}" for problem in self.problems)])


def verify_dump(path: str | Path) -> DumpCheck:
    """Recompute every value and auxiliary value from the dump's own parameters and inputs; compare all of it by ==.

    Also checks every sha256, the three roots, the model's digest, and the graph's proven ranges. Memory: one value and
    the live set. Raises UsageError if the directory is no dump at all.
    """
    folder = Path(path)
    manifest, model = _read(folder)
    said = f"{MANIFEST_FILE} or {GRAPH_FILE} is not what dump writes"
    with malformed(lambda why: _no_dump(folder, f"{said}: {why}")):
        stored = _Stored(folder, manifest)
        graph, problems = _graph(model, manifest, stored)
        if graph is None:
            return DumpCheck(tuple(problems), None, 0, 0)
        has_witness = any(tensor["role"] == "auxiliary" for tensor in manifest["tensors"])
        asked: dict[str, Any] = {"witness": has_witness, "values": "*", "chunks": manifest["chunks"]}
        listed = {e.name: e for e in entries(graph, manifest["samples"], **asked)}
        claimed = {tensor["name"]: tensor for tensor in manifest["tensors"]}
        problems += [f"tensor '{name}' is not one of the network's" for name in claimed if name not in listed]
        must = {*graph.constants, *graph.inputs, *graph.outputs}
        problems += [
            f"tensor '{name}' is missing from the manifest" for name in listed if name in must - claimed.keys()
        ]
        inputs = {name: stored.read(listed[name]) for name in graph.inputs if name in claimed}
        problems += [problem for _, problem in inputs.values() if problem]
        arrays = {name: array for name, (array, _) in inputs.items() if array is not None}
    first: Difference | None = None
    n_tensors = n_elements = 0
    if not problems:
        for entry, expected in _recomputed(graph, listed, arrays, has_witness, manifest["chunks"]):
            if entry.name not in claimed or entry.role == "input":
                continue
            found, problem = _judge(graph, entry, expected, stored)
            first = first or found
            problems += [problem] if problem else []
            n_tensors, n_elements = n_tensors + 1, n_elements + expected.size
    with malformed(lambda why: _no_dump(folder, f"{said}: {why}")):
        plain = encode(graph)
        problems += [
            f"{GRAPH_FILE}: '{key}' is not what its network has"
            for key in sorted({*plain, *model})
            if model.get(key) != plain.get(key)
        ]
        problems += _claims(plain, manifest, listed, stored.field)
    return DumpCheck(tuple(problems), first, n_tensors, n_elements)


class _Stored:
    """Tensors of a dump on disk, read when they are asked for. A class because it stands for open files' folder."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._folder, self._format = folder, FORMATS[manifest["format"]]
        self.field = of_document(manifest["field"])
        self._numbers = {tensor["name"]: number for number, tensor in enumerate(manifest["tensors"])}
        self._sha = {tensor["name"]: tensor["sha256"] for tensor in manifest["tensors"]}

    def read(self, entry: Entry) -> tuple[np.ndarray | None, str]:
        """(the array, what is wrong with it); None where it cannot be read."""
        try:
            array = self._format.read(self._folder, self._numbers[entry.name], in_file(self.field, entry))
            array = array if self.field is None else integers(self.field, entry, array)
        except _DAMAGE as error:
            return None, f"tensor '{entry.name}' cannot be read: {error}"
        if array.dtype != np.dtype(entry.dtype) or array.shape != entry.shape:
            return None, f"tensor '{entry.name}' is {array.dtype} {array.shape}, not {entry.dtype} {entry.shape}"
        if (found := interval_of(array)) not in Interval(*entry.bound):
            return None, f"tensor '{entry.name}' holds integers in {found}, its bound is {Interval(*entry.bound)}"
        exact = exactly(entry, array)
        matches = hashlib.sha256(exact.data if exact.size else b"").hexdigest() == self._sha[entry.name]
        return array, "" if matches else f"tensor '{entry.name}' does not match its sha256"


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
        model = json.loads((folder / GRAPH_FILE).read_text())
    except (OSError, ValueError) as error:
        raise _no_dump(folder, f"{MANIFEST_FILE} or {GRAPH_FILE} is missing or damaged: {error}") from error
    if isinstance(manifest, dict) and manifest.get("schema", SCHEMA) != SCHEMA:
        raise _no_dump(folder, f"its schema is {manifest['schema']}, this version reads {SCHEMA}")
    keys = {"schema", "format", "model", "samples", "tensors", "roots", "chunks", "field"}
    if not isinstance(manifest, dict) or not keys <= manifest.keys():
        raise _no_dump(folder, f"{MANIFEST_FILE} lacks one of {', '.join(sorted(keys))}")
    if not isinstance(manifest["format"], str) or manifest["format"] not in FORMATS:
        raise _no_dump(folder, f"its format is '{manifest['format']}'")
    try:
        if not isinstance(manifest["field"], dict | None):
            raise ValueError(f"{manifest['field']!r} is no field")
        of_document(manifest["field"])
    except (ValueError, AttributeError, TypeError) as error:
        raise _no_dump(folder, f"its field is none that is known: {manifest['field']}") from error
    return manifest, model


def _no_dump(folder: Path, why: str) -> UsageError:
    return UsageError(
        "this is no dump that can be checked", where=str(folder), why=why, fix="give a directory that dump wrote"
    )


def _graph(model: dict[str, Any], manifest: dict[str, Any], stored: _Stored) -> tuple[Graph | None, list[str]]:
    """The graph of the dump, its constants from the dump's own tensors; or None and the reasons."""
    problems, constants = [], {}
    claimed = {tensor["name"]: tensor for tensor in manifest["tensors"]}
    for name in model.get("tensors", {}):
        if name not in claimed:
            problems.append(f"parameter '{name}' is missing from the manifest")
            continue
        array, problem = stored.read(_parameter(claimed[name]))
        problems += [problem] if problem else []
        if array is not None:
            constants[name] = array
    if problems:
        return None, problems
    graph = decode(model, constants)
    if graph.op_set != "int":
        return None, [f"{GRAPH_FILE} is a {graph.op_set} graph, integer graphs are dumped"]
    found = problems_of(graph)
    return (None if found else graph), found


def _parameter(tensor: dict[str, Any]) -> Entry:
    shape, bound = tuple(tensor["shape"]), tuple(tensor["bound"])
    fixed = (tensor["dtype"], shape, tensor["layout"], tensor["scale"], bound, tensor["source"])
    return Entry(tensor["name"], "parameter", "", *fixed)


def _recomputed(
    graph: Graph, listed: dict[str, Entry], inputs: dict[str, np.ndarray], has_witness: bool, chunks: int
) -> Iterator[tuple[Entry, np.ndarray]]:
    """Every value as it follows from the dump's inputs."""
    values = interpret(graph, inputs, ops=EXACT)
    for name, array in with_witness(graph, values, chunks=chunks) if has_witness else values:
        yield listed[name], array


def _judge(graph: Graph, entry: Entry, expected: np.ndarray, stored: _Stored) -> tuple[Difference | None, str]:
    """(the first difference, the problem in words) of one tensor of the dump."""
    actual, problem = stored.read(entry)
    if actual is None:
        return None, problem
    owner = entry.name.rpartition(":")[0] if entry.role == "auxiliary" else entry.name
    found, _ = difference(graph, owner, expected, actual)
    if found is None:
        return None, problem
    named = Difference(entry.name, found.index, found.expected, found.actual, found.source)
    return named, str(named)


def _claims(
    model: dict[str, Any], manifest: dict[str, Any], listed: dict[str, Entry], field: Field | None
) -> list[str]:
    """What the manifest says against what follows from the graph: entries, nodes, digest and roots."""
    known = [tensor for tensor in manifest["tensors"] if tensor["name"] in listed]
    lies = {tensor["name"]: stored_facts(field, listed[tensor["name"]]) for tensor in known}
    right = document(model, [(listed[t["name"]], t["sha256"], lies[t["name"]]) for t in known])
    problems = [
        f"the manifest says of '{tensor['name']}' that {key} is {tensor.get(key)}, it is {fact}"
        for tensor in known
        for key, fact in {**facts(listed[tensor["name"]]), **lies[tensor["name"]]}.items()
        if tensor.get(key) != fact
    ]
    problems += [
        f"the manifest says that {key} is {manifest.get(key)}, it is {right[key]}"
        for key in ("model", "inputs", "outputs", "roots")
        if manifest.get(key) != right[key]
    ]
    return problems + _wrong_nodes(manifest.get("nodes"), right["nodes"])


def _wrong_nodes(said: Any, right: list[dict[str, Any]]) -> list[str]:
    """The nodes of the manifest that are not the network's: a reader of the manifest alone computes by them."""
    if not isinstance(said, list) or len(said) != len(right):
        return [f"the manifest does not list the {len(right)} nodes of the network"]
    return [
        f"the manifest says that node {number} is {there}, it is {node}"
        for number, (there, node) in enumerate(zip(said, right, strict=True))
        if there != node
    ]
