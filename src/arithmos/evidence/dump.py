"""Dump: every value of an inference in open files, with a manifest that says what each one is and bounds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.atomic import output_dir
from arithmos.errors import UsageError
from arithmos.evidence.compare import require_integers
from arithmos.evidence.field import Field, embed, stored, stored_facts
from arithmos.evidence.field import document as in_manifest
from arithmos.evidence.field import find as find_field
from arithmos.evidence.manifest import Entry, document, entries, text
from arithmos.evidence.source import stream
from arithmos.evidence.tensor_files import FORMATS, Put
from arithmos.evidence.witness import witness as with_witness
from arithmos.ir.border import admit, batch_size, named_inputs
from arithmos.ir.codec import encode
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval, interval_of

MANIFEST_FILE, GRAPH_FILE = "manifest.json", "graph.json"
MOST_CHUNK_BITS = 32


def dump(
    graph: Graph,
    inputs: Any,
    path: str | Path,
    *,
    format: str = "safetensors",
    witness: bool = False,
    values: str = "*",
    force: bool = False,
    target: str = "interpreter",
    chunks: int = 0,
    field: str = "",
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the values of one inference into the new directory `path`, and return it.

    inputs: as ar.run takes them. format: a row of FORMATS. witness: auxiliary values too (see witness.py). values: a
    glob on value names; parameters, inputs and outputs are always written. target: who computes them. Every tensor is
    in the narrowest type of its proven range. chunks: with the witness, also its chunks of so many bits. field: a row
    of FIELDS; every integer is then written as its element (see field.py). origin: what the manifest says of where the
    network is from, such as its weights; nothing can check that. Memory: the live values of the target, one
    more that is being written while the next is computed, and a witness's int64 temporaries. `verify_dump` checks it.
    Raises UsageError for inputs that do not fit, an unknown format or field, a glob without a match, chunks without a
    witness, an existing directory; RangeError for a witness that an int64 cannot hold.
    """
    kind = find_field(field)
    arrays, samples, listed = _planned(graph, inputs, format, witness, values, chunks)
    with output_dir(Path(path), force=force) as folder:
        model = encode(graph)
        (folder / GRAPH_FILE).write_text(json.dumps(model, indent=1, sort_keys=True) + "\n")
        found = stream(graph, arrays, target)
        tensors = _with_parameters(graph, with_witness(graph, found, chunks=chunks) if witness else found)
        in_file = [stored(kind, entry) for entry in listed]
        with FORMATS[format].writer(folder, in_file, model["digest"]) as put:
            hashes = _written(listed, tensors, put if kind is None else _embedding(kind, listed, put))
        lines = [
            (e, hashes[e.name], {**FORMATS[format].where(n, e), **stored_facts(kind, e)}) for n, e in enumerate(listed)
        ]
        said: dict[str, Any] = {"format": format, "target": target, "samples": samples, "chunks": chunks}
        manifest = document(model, lines, **said, field=in_manifest(kind), origin=dict(origin or {}))
        (folder / MANIFEST_FILE).write_text(text(manifest))
    return Path(path)


def dump_bytes(
    graph: Graph, samples: int, *, witness: bool = False, values: str = "*", chunks: int = 0, field: str = ""
) -> int:
    """How many bytes of numbers a dump holds: known before anything runs."""
    listed, kind = entries(graph, samples, witness=witness, values=values, chunks=chunks), find_field(field)
    return sum(stored(kind, entry).size_bytes for entry in listed)


def _planned(
    graph: Graph, inputs: Any, format: str, witness: bool, values: str, chunks: int
) -> tuple[dict[str, np.ndarray], int, list[Entry]]:
    """(admitted inputs, number of samples, every tensor in order), or UsageError."""
    require_integers(graph, "dumped")
    if format not in FORMATS:
        raise UsageError(
            f"there is no dump format '{format}'", why=f"the formats are {', '.join(FORMATS)}", fix="choose one of them"
        )
    if chunks and not (witness and 1 <= chunks <= MOST_CHUNK_BITS):
        raise UsageError(
            f"there are no chunks of {chunks} bits" if witness else "there is nothing to cut into chunks",
            why=f"a chunk has 1 to {MOST_CHUNK_BITS} bits" if witness else "chunks are cut of the values of a witness",
            fix="provers usually look up 8 or 14 bits" if witness else "ask for the witness too",
        )
    arrays = admit(graph, named_inputs(graph, inputs))
    sizes = (batch_size(graph.values[name].shape, array.shape) for name, array in arrays.items())
    samples = next((size for size in sizes if size is not None), 1)
    listed = list(entries(graph, samples, witness=witness, values=values, chunks=chunks))
    n_always = len(graph.constants) + len(graph.inputs) + len(set(graph.outputs))
    if values != "*" and len(listed) <= n_always and not any(e.role == "auxiliary" for e in listed):
        raise UsageError(
            f"no value matches '{values}'",
            why=f"the values are {', '.join([node.output for node in graph.nodes][:8])}, …",
            fix="give a glob on value names, such as 'layer1.*'; `arithmos show` lists them",
        )
    return arrays, samples, listed


def _embedding(field: Field, listed: list[Entry], put: Put) -> Put:
    return lambda number, array: put(number, embed(field, listed[number], array))


def _with_parameters(graph: Graph, values: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    yield from graph.constants.items()
    yield from values


def _written(listed: list[Entry], tensors: Iterable[tuple[str, np.ndarray]], put: Put) -> dict[str, str]:
    """Write each tensor that is listed and return the sha256 of each.

    One thread hashes and writes while the next value is computed: both release the interpreter lock, and at most one
    value waits.
    """
    numbers = {entry.name: number for number, entry in enumerate(listed)}
    hashes: dict[str, str] = {}

    def write(number: int, array: np.ndarray) -> None:
        exact = exactly(listed[number], array)
        hashes[listed[number].name] = hashlib.sha256(exact.data if exact.size else b"").hexdigest()
        put(number, exact)

    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: Future[None] | None = None
        for name, array in tensors:
            if name in numbers:
                if pending is not None:
                    pending.result()
                pending = pool.submit(write, numbers[name], array)
        if pending is not None:
            pending.result()
    missing = [entry.name for entry in listed if entry.name not in hashes]
    if missing:
        raise UsageError(
            f"the target does not show {len(missing)} of {len(listed)} values",
            why=f"among them {', '.join(missing[:4])}",
            fix="dump with target 'interpreter' or 'engine'",
        )
    return hashes


def exactly(entry: Entry, array: np.ndarray) -> np.ndarray:
    """The array in the entry's type, contiguous and little-endian. A value outside its bound would be our defect."""
    if array.dtype.name != entry.dtype:
        found = interval_of(array)
        assert found in Interval(*entry.bound), f"{entry.name} left its proven range {entry.bound}: {found}"
    assert array.shape == entry.shape, f"{entry.name} has shape {array.shape}, not {entry.shape}"
    return np.ascontiguousarray(array, dtype=np.dtype(entry.dtype).newbyteorder("<")).reshape(entry.shape)
