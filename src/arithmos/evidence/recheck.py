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
from arithmos.evidence.manifest import SCHEMA, Entry, document, entries, facts
from arithmos.evidence.tensor_files import FORMATS
from arithmos.evidence.witness import witness as with_witness
from arithmos.ir.check import problems_of
from arithmos.ir.codec import decode
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
    stored = _Stored(folder, manifest)
    graph, problems = _graph(model, manifest, stored)
    if graph is None:
        return DumpCheck(tuple(problems), None, 0, 0)
    has_witness = any(tensor["role"] == "auxiliary" for tensor in manifest["tensors"])
    listed = {e.name: e for e in entries(graph, manifest["samples"], witness=has_witness, values="*")}
    claimed = {tensor["name"]: tensor for tensor in manifest["tensors"]}
    problems += [f"tensor '{name}' is not one of the network's" for name in claimed if name not in listed]
    must = {*graph.constants, *graph.inputs, *graph.outputs}
    problems += [f"tensor '{name}' is missing from the manifest" for name in listed if name in must - claimed.keys()]
    inputs = {name: stored.read(listed[name]) for name in graph.inputs if name in claimed}
    problems += [problem for _, problem in inputs.values() if problem]
    arrays = {name: array for name, (array, _) in inputs.items() if array is not None}
    first: Difference | None = None
    n_tensors = n_elements = 0
    if not problems:
        for entry, expected in _recomputed(graph, listed, arrays, has_witness):
            if entry.name not in claimed or entry.role == "input":
                continue
            found, problem = _judge(graph, entry, expected, stored)
            first = first or found
            problems += [problem] if problem else []
            n_tensors, n_elements = n_tensors + 1, n_elements + expected.size
    problems += _claims(graph, manifest, listed)
    return DumpCheck(tuple(problems), first, n_tensors, n_elements)


class _Stored:
    """Tensors of a dump on disk, read when they are asked for. A class because it stands for open files' folder."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._folder, self._format = folder, FORMATS[manifest["format"]]
        self._numbers = {tensor["name"]: number for number, tensor in enumerate(manifest["tensors"])}
        self._sha = {tensor["name"]: tensor["sha256"] for tensor in manifest["tensors"]}

    def read(self, entry: Entry) -> tuple[np.ndarray | None, str]:
        """(the array, what is wrong with it); None where it cannot be read."""
        try:
            array = self._format.read(self._folder, self._numbers[entry.name], entry)
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
    keys = {"schema", "format", "model", "samples", "tensors", "roots"}
    if not isinstance(manifest, dict) or not keys <= manifest.keys():
        raise _no_dump(folder, f"{MANIFEST_FILE} lacks one of {', '.join(sorted(keys))}")
    if manifest["schema"] != SCHEMA:
        raise _no_dump(folder, f"its schema is {manifest['schema']}, this version reads {SCHEMA}")
    if manifest["format"] not in FORMATS:
        raise _no_dump(folder, f"its format is '{manifest['format']}'")
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
    try:
        graph = decode(model, constants)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return None, [f"{GRAPH_FILE} is not a graph: {error!r}"]
    return graph, problems_of(graph)


def _parameter(tensor: dict[str, Any]) -> Entry:
    shape, bound = tuple(tensor["shape"]), tuple(tensor["bound"])
    fixed = (tensor["dtype"], shape, tensor["layout"], tensor["scale"], bound, tensor["source"])
    return Entry(tensor["name"], "parameter", "", *fixed)


def _recomputed(
    graph: Graph, listed: dict[str, Entry], inputs: dict[str, np.ndarray], has_witness: bool
) -> Iterator[tuple[Entry, np.ndarray]]:
    """Every value as it follows from the dump's inputs."""
    values = interpret(graph, inputs)
    for name, array in with_witness(graph, values) if has_witness else values:
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


def _claims(graph: Graph, manifest: dict[str, Any], listed: dict[str, Entry]) -> list[str]:
    """What the manifest says against what follows from the graph: entries, order, digest and roots."""
    known = [tensor for tensor in manifest["tensors"] if tensor["name"] in listed]
    nowhere: dict[str, str] = {}
    pairs = [(listed[tensor["name"]], tensor["sha256"], nowhere) for tensor in known]
    right = document(
        graph, pairs, format=manifest["format"], target=str(manifest.get("target")), samples=manifest["samples"]
    )
    problems = [
        f"the manifest says of '{tensor['name']}' that {key} is {tensor.get(key)}, it is {fact}"
        for tensor in known
        for key, fact in facts(listed[tensor["name"]]).items()
        if tensor.get(key) != fact
    ]
    problems += [
        f"the manifest says that {key} is {manifest.get(key)}, it is {right[key]}"
        for key in ("model", "order", "inputs", "outputs", "roots")
        if manifest.get(key) != right[key]
    ]
    return problems
