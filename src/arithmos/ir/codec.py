"""The bundle on disk: graph.json (canonical, with a digest) and tensors.safetensors, recipe, golden values, report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from arithmos.atomic import output_dir
from arithmos.errors import UsageError
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.check import problems_of
from arithmos.ir.graph import Graph, Node, Source, Value, require_graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, narrowest_dtype
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, Scale

SCHEMA = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""schema n -> the function that turns a document of schema n into one of schema n + 1. Never removed."""

GRAPH_FILE, TENSOR_FILE, GOLDEN_FILE = "graph.json", "tensors.safetensors", "golden.safetensors"
RECIPE_FILE, REPORT_FILE = "recipe.toml", "report.json"
SIDE_FILES = (GOLDEN_FILE, RECIPE_FILE, REPORT_FILE)
"""Beside the network: graph.json holds their hashes, outside the network's digest."""


def save(
    graph: Graph,
    path: str | Path,
    *,
    golden: Any = None,
    recipe: str = "",
    report: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Write the bundle directory; nothing of it exists until all of it does. Returns the path.

    golden: inputs (as ar.run takes them) whose every value is stored, so that any consumer can check itself
    without arithmos; one seeded random input by default. recipe: the text of recipe.toml. report: measured facts.
    Raises UsageError if the directory exists (unless force), if the disk is full, or for facts that JSON cannot hold.
    """
    require_graph(graph)
    if not isinstance(recipe, str):
        raise UsageError(
            f"the recipe is of type {type(recipe).__name__}",
            why=f"the text of {RECIPE_FILE} is stored",
            fix="give recipe=arithmos.lower.recipe.as_toml(recipe)",
        )
    if golden is None and graph.op_set == "int":
        golden = random_inputs(graph, 1)
    with output_dir(Path(path), force=force) as folder:
        _write_tensors(graph.constants, folder / TENSOR_FILE)
        if golden is not None:
            values = evaluate(graph, admit(graph, named_inputs(graph, golden)), every=True)
            _write_tensors({n: narrow(graph.values[n], a) for n, a in values.items()}, folder / GOLDEN_FILE)
        if recipe:
            (folder / RECIPE_FILE).write_text(recipe)
        (folder / REPORT_FILE).write_text(_facts(report or {}))
        files = {p.name: _file_digest(p) for p in sorted(folder.iterdir()) if p.name in SIDE_FILES}
        document = {**encode(graph), "files": files}
        (folder / GRAPH_FILE).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return Path(path)


def _facts(report: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(report), indent=1, sort_keys=True) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the facts cannot be written to {REPORT_FILE}",
            why=str(error),
            fix="give a dictionary of texts, numbers, lists and dictionaries of these",
        ) from error


def load(path: str | Path) -> Graph:
    """Read a bundle and prove it again: digest of every tensor, digest of the whole, structure, shapes, ranges.

    Raises UsageError naming every file, tensor or value that is not what it claims to be.
    """
    folder = Path(path)
    missing = [name for name in (GRAPH_FILE, TENSOR_FILE) if not (folder / name).is_file()]
    if missing:
        raise _refuse(
            folder, f"it has no {' and no '.join(missing)}", "give a directory that `arithmos quantize` wrote"
        )
    document = _undamaged(folder / GRAPH_FILE, lambda file: json.loads(file.read_text()))
    tensors = _undamaged(folder / TENSOR_FILE, safetensors.numpy.load_file)
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is not int or schema < 1:
        raise _refuse(folder, f"{GRAPH_FILE} has no schema number", "give a directory that `arithmos quantize` wrote")
    if schema > SCHEMA:
        raise _refuse(folder, f"its schema is {schema}, this version reads up to {SCHEMA}", "upgrade arithmos")
    with malformed(_no_graph(folder)):
        problems = _digest_problems(document, tensors) + _file_problems(document, folder)
    if problems:
        raise _refuse(
            folder,
            "\n       ".join(problems[:12]),
            "copy or make the bundle again; it was changed after it was written",
        )
    for number in range(schema, SCHEMA):
        document = MIGRATIONS[number](document)
    with malformed(_no_graph(folder)):
        graph = decode(document, tensors)
        problems = problems_of(graph) or _surplus(document, graph)
    if problems:
        raise _refuse(folder, "\n       ".join(problems[:12]), "make the bundle again from the network")
    return graph


def digest(graph: Graph) -> str:
    """sha256 of the canonical form: two graphs are the same network if and only if their digests are equal."""
    return str(encode(graph)["digest"])


def encode(graph: Graph) -> dict[str, Any]:
    """The graph as a JSON document; `digest` covers everything else in it, and through `tensors` every constant."""
    tensors = {name: _tensor_entry(array) for name, array in graph.constants.items()}
    document = {"schema": SCHEMA, **_structure(graph), "tensors": tensors}
    return {**document, "digest": _document_digest(document)}


def _structure(graph: Graph) -> dict[str, Any]:
    """All of the document but the tensors, as JSON gives it back."""
    document: dict[str, Any] = {
        "op_set": graph.op_set,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "nodes": [
            {"op": n.op, "inputs": list(n.inputs), "output": n.output, "attrs": dict(n.attrs)} for n in graph.nodes
        ],
        "values": {name: _encode_value(value) for name, value in graph.values.items()},
    }
    document = json.loads(_canonical(document))
    return document


def decode(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Graph:
    """The graph of a document that `encode` made. Raises KeyError, TypeError or ValueError for anything else."""
    return Graph(
        document["op_set"],
        tuple(
            Node(n["op"], tuple(n["inputs"]), n["output"], {k: _tuples(v) for k, v in n["attrs"].items()})
            for n in document["nodes"]
        ),
        {name: _decode_value(name, value) for name, value in document["values"].items()},
        {name: tensors[name] for name in document["tensors"]},
        _names(document["inputs"]),
        _names(document["outputs"]),
    )


def _names(listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{listed!r} is not a list of names")
    return tuple(listed)


def random_inputs(graph: Graph, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """n samples of every input of an integer graph, uniform over its range."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name in graph.inputs:
        value = graph.values[name]
        assert value.range is not None, "only integer graphs have ranges to draw from"
        shape = [-e * n if e < 0 else e for e in value.shape]
        arrays[name] = narrow(value, rng.integers(value.range.lo, value.range.hi, shape, endpoint=True))
    return arrays


def narrow(value: Value, array: np.ndarray) -> np.ndarray:
    """The array in the narrowest type that holds the value's proven range; floats stay as they are."""
    return array if value.range is None else array.astype(narrowest_dtype(value.range))


def _write_tensors(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    # Not by save_file: it gives the file to its owner alone, whatever the umask.
    path.write_bytes(safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def _tensor_entry(array: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _document_digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical({k: v for k, v in document.items() if k not in ("digest", "files")})).hexdigest()


def _digest_problems(document: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> list[str]:
    claimed = document.get("tensors", {})
    problems = [f"tensor '{name}' is missing" for name in claimed if name not in tensors]
    problems += [f"tensor '{name}' is not one of the bundle's" for name in tensors if name not in claimed]
    problems += [
        f"tensor '{name}' does not match its digest"
        for name, array in tensors.items()
        if name in claimed and _tensor_entry(array) != claimed[name]
    ]
    if _document_digest(document) != document.get("digest"):
        problems.append(f"{GRAPH_FILE} does not match its digest")
    return problems


def _surplus(document: Mapping[str, Any], graph: Graph) -> list[str]:
    """What the file says and no graph has: a bundle holds the one form of its graph, and nothing beside it."""
    known = _structure(graph)
    unknown = set(document) - {"schema", "digest", "files", "tensors", *known}
    return [f"{GRAPH_FILE} has the unknown entry '{key}'" for key in sorted(unknown)] + [
        f"'{key}' in {GRAPH_FILE} says more than a graph has"
        for key, entry in known.items()
        if _canonical(entry) != _canonical(document[key])
    ]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_problems(document: dict[str, Any], folder: Path) -> list[str]:
    """What stands beside the graph: recipe, golden values, report; the network's digest does not depend on them."""
    problems = []
    for name, claimed in document.get("files", {}).items():
        if name not in SIDE_FILES:
            problems.append(f"{name!r} is no file of a bundle: beside the network are {', '.join(SIDE_FILES)}")
        elif not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif _file_digest(folder / name) != claimed:
            problems.append(f"{name} does not match its digest")
    return problems


@contextmanager
def malformed(refuse: Callable[[str], UsageError]) -> Iterator[None]:
    """What was never written by arithmos fails in as many ways as it was made up in: each is the same refusal.

    refuse(why) -> the error to raise.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise refuse(said) from error


def _no_graph(folder: Path) -> Callable[[str], UsageError]:
    return lambda why: _refuse(folder, f"{GRAPH_FILE} is not a graph: {why}", "make the bundle again")


def _undamaged(file: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(file)
    except (ValueError, TypeError, AttributeError, RecursionError, SafetensorError) as error:  # numpy lacks some types
        raise _refuse(file.parent, f"{file.name} is damaged: {error}", "copy or make the bundle again") from error


def _refuse(folder: Path, why: str, fix: str) -> UsageError:
    return UsageError("this bundle cannot be loaded", where=str(folder), why=why, fix=fix)


def _tuples(item: Any) -> Any:
    return tuple(_tuples(x) for x in item) if isinstance(item, list) else item


def _encode_value(value: Value) -> dict[str, Any]:
    entry: dict[str, Any] = {"shape": list(value.shape)}
    if value.range is not None:
        entry["range"] = [value.range.lo, value.range.hi]
    if value.scale is not None:
        entry["scale"] = encode_scale(value.scale)
    if value.source != Source():
        entry["source"] = [value.source.module, value.source.line]
    return entry


def _decode_value(name: str, entry: Mapping[str, Any]) -> Value:
    interval = Interval(*map(_whole, entry["range"])) if "range" in entry else None
    scale = decode_scale(entry["scale"]) if "scale" in entry else None
    return Value(name, tuple(map(_whole, entry["shape"])), interval, scale, Source(*entry.get("source", ())))


def encode_scale(scale: Scale) -> dict[str, Any]:
    """{"exponent": e}, {"mul": m, "shift": s}, or {"axis": a, "scales": [...]}."""
    match scale:
        case PowerOfTwo(exponent):
            return {"exponent": exponent}
        case Dyadic(mul, shift):
            return {"mul": mul, "shift": shift}
        case PerChannel(axis, scales):
            return {"axis": axis, "scales": [encode_scale(s) for s in scales]}


def decode_scale(entry: Mapping[str, Any]) -> Scale:
    """The inverse of encode_scale."""
    if "axis" not in entry:
        return _decode_number(entry)
    scales = tuple(_decode_number(s) for s in entry["scales"])
    if _whole(entry["axis"]) >= 0 or not scales:
        raise ValueError("a scale per channel has an axis counted from the end, and one scale for each channel")
    return PerChannel(_whole(entry["axis"]), scales)


def _decode_number(entry: Mapping[str, Any]) -> PowerOfTwo | Dyadic:
    if "exponent" in entry:
        return PowerOfTwo(_whole(entry["exponent"]))
    return Dyadic(_whole(entry["mul"]), _whole(entry["shift"]))


def _whole(number: object) -> int:
    if type(number) is not int:
        raise TypeError(f"{number!r} is not an integer")
    return number
