"""What is refused at load: damaged and incomplete files, edited content, and forged digests; each with its reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from arithmos.errors import UsageError
from arithmos.ir import codec
from arithmos.ir.check import problems_of
from arithmos.ir.codec import digest, load, save
from samples import tiny

JSON, TENSORS = codec.GRAPH_FILE, codec.TENSOR_FILE


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save(tiny(), tmp_path / "net", recipe="weight_bits = 8\n", report={"top1": 0.5})


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(path)
    return str(caught.value).replace(str(path), "BUNDLE")


CHANGED = "  fix  copy or make the bundle again; it was changed after it was written"


def edit(path: Path, change: Callable[[dict[str, Any]], object], *, resign: bool = False) -> None:
    """Change graph.json; with resign, also its digest, as somebody would who knows the format."""
    document = json.loads((path / JSON).read_text())
    change(document)
    if resign:
        body = {k: v for k, v in document.items() if k not in ("digest", "files")}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        document["digest"] = hashlib.sha256(canonical).hexdigest()
    (path / JSON).write_text(json.dumps(document))


def test_missing_files(tmp_path: Path, bundle: Path) -> None:
    assert refusal(tmp_path / "nowhere").splitlines() == [
        "this bundle cannot be loaded",
        "  at   BUNDLE",
        "  why  it has no graph.json and no tensors.safetensors",
        "  fix  give a directory that `arithmos quantize` wrote",
    ]
    (bundle / TENSORS).unlink()
    assert "  why  it has no tensors.safetensors\n" in refusal(bundle)


def test_an_edited_range(bundle: Path) -> None:
    edit(bundle, lambda d: d["values"]["acc"].update(range=[0, 1]))
    assert refusal(bundle) == (
        f"this bundle cannot be loaded\n  at   BUNDLE\n  why  graph.json does not match its digest\n{CHANGED}"
    )


def test_an_edited_range_with_a_new_digest(bundle: Path) -> None:
    edit(bundle, lambda d: d["values"]["acc"].update(range=[0, 1]), resign=True)
    assert refusal(bundle) == (
        "this bundle cannot be loaded\n"
        "  at   BUNDLE\n"
        "  why  'acc' is proven to be in [-1530, 2295], its entry says [0, 1]\n"
        "       'y' is proven to be in [0, 0], its entry says [-127, 127]\n"
        "  fix  make the bundle again from the network"
    )


def test_a_newer_schema(bundle: Path) -> None:
    edit(bundle, lambda d: d.update(schema=2))
    assert refusal(bundle) == (
        "this bundle cannot be loaded\n"
        "  at   BUNDLE\n"
        "  why  its schema is 2, this version reads up to 1\n"
        "  fix  upgrade arithmos"
    )


@pytest.mark.parametrize("schema", [None, 0, "1", [1]])
def test_no_schema(bundle: Path, schema: object) -> None:
    edit(bundle, lambda d: d.update(schema=schema))
    assert "  why  graph.json has no schema number\n" in refusal(bundle)


def test_tensors_missing_added_and_changed(bundle: Path) -> None:
    tensors = safetensors.numpy.load_file(bundle / TENSORS)
    tensors["w"] = tensors["w"] + 1
    tensors["extra"] = tensors.pop("mul")
    safetensors.numpy.save_file(tensors, bundle / TENSORS)
    assert refusal(bundle) == (
        "this bundle cannot be loaded\n"
        "  at   BUNDLE\n"
        "  why  tensor 'mul' is missing\n"
        "       tensor 'extra' is not one of the bundle's\n"
        "       tensor 'w' does not match its digest\n"
        f"{CHANGED}"
    )


@pytest.mark.parametrize(
    "change",
    [lambda a: a.astype(np.int16), lambda a: a.reshape(3, 2), lambda a: a[::-1]],
    ids=["type", "shape", "order"],
)
def test_a_tensor_of_another_type_shape_or_order(bundle: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensors = safetensors.numpy.load_file(bundle / TENSORS)
    tensors["w"] = np.ascontiguousarray(change(tensors["w"]))
    safetensors.numpy.save_file(tensors, bundle / TENSORS)
    assert f"  why  tensor 'w' does not match its digest\n{CHANGED}" in refusal(bundle)


def test_truncated_files(bundle: Path) -> None:
    data = (bundle / TENSORS).read_bytes()
    for length in (0, 4, 20, len(data) - 1):
        (bundle / TENSORS).write_bytes(data[:length])
        assert f"  why  {TENSORS} is damaged: " in refusal(bundle)
    (bundle / TENSORS).write_bytes(data)
    text = (bundle / JSON).read_text()
    (bundle / JSON).write_text(text[: len(text) // 2])
    assert f"  why  {JSON} is damaged: " in refusal(bundle)


def test_a_flipped_byte_is_refused(bundle: Path) -> None:
    for name, every in ((TENSORS, 2), (JSON, 9)):
        data = (bundle / name).read_bytes()
        for position in range(0, len(data), every):
            damaged = bytearray(data)
            damaged[position] ^= 1 << position % 8
            (bundle / name).write_bytes(damaged)
            try:
                graph = load(bundle)
            except UsageError:
                continue
            assert digest(graph) == digest(tiny()), (name, position)  # white space may turn into other white space
        (bundle / name).write_bytes(data)
    assert digest(load(bundle)) == digest(tiny())


def drop(*path: object) -> Callable[[Any], None]:
    """Delete what stands at the path."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def put(value: object, *path: object) -> Callable[[Any], None]:
    """Put a value there."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


FORGED: list[Callable[[Any], None]] = [
    *(drop(key) for key in ("op_set", "inputs", "outputs", "nodes", "values")),
    *(
        put(value, key)
        for key in ("op_set", "inputs", "outputs", "nodes", "values", "tensors")
        for value in (None, 5, "?!", [1])
    ),
    put("poly", "op_set"),
    put("table", "op_set"),
    put(["x", "x"], "inputs"),
    put(["nothing"], "outputs"),
    drop("nodes", 0, "attrs"),
    put("softmax", "nodes", 0, "op"),
    put(["x"], "nodes", 0, "inputs"),
    put(["x", "w", "w", "w", "w"], "nodes", 0, "inputs"),
    put(["later", "w"], "nodes", 0, "inputs"),
    put("y", "nodes", 0, "output"),
    put(99, "nodes", 1, "attrs", "shift"),
    put(2.0, "nodes", 1, "attrs", "shift"),
    put("2", "nodes", 1, "attrs", "shift"),
    put([2], "nodes", 1, "attrs", "shift"),
    put(1, "nodes", 1, "attrs", "extra"),
    drop("nodes", 1, "attrs", "shift"),
    put(7, "nodes", 3, "attrs", "offset"),
    put(1, "nodes", 3, "attrs", "axis"),
    put([-1, 2, 4], "values", "x", "shape"),
    put([-1.0, 2, 3], "values", "x", "shape"),
    put("abc", "values", "x", "shape"),
    drop("values", "x", "shape"),
    drop("values", "x", "range"),
    put([0, 255.0], "values", "x", "range"),
    put([255, 0], "values", "x", "range"),
    put([0], "values", "x", "range"),
    put([0, 1 << 64], "values", "x", "range"),
    put([0, 1 << 40], "values", "x", "range"),
    drop("values", "acc", "range"),
    put({"shape": [1], "range": [0, 0]}, "values", "more"),
    drop("values", "acc"),
    drop("values", "w"),
    put([0, 1], "values", "w", "range"),
    put({}, "values", "x", "scale"),
    put({"axis": 0}, "values", "x", "scale"),
    put([1, 2, 3], "values", "x", "source"),
    put({"exponent": 1 << 70}, "values", "x", "scale"),
    put({"exponent": True}, "values", "x", "scale"),
    put({"mul": "1", "shift": 0}, "values", "x", "scale"),
    put({"mul": 1, "shift": 0, "more": 0}, "values", "x", "scale"),
    put(0, "values", "x", "more"),
    put(0, "nodes", 0, "more"),
    put(True, "values", "w", "shape", 0),
    drop("tensors", "w"),
]


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_whoever_forges_the_digest_too_is_still_refused(bundle: Path, number: int) -> None:
    edit(bundle, FORGED[number], resign=True)
    assert refusal(bundle).startswith("this bundle cannot be loaded\n  at   BUNDLE\n  why  ")


SCALES = {
    "zero": (
        {"mul": 0, "shift": 3},
        "Dyadic(mul=0, shift=3) is no scale: scales are positive and lie in the range of f",
    ),
    "negative": (
        {"mul": -5, "shift": 3},
        "Dyadic(mul=-5, shift=3) is no scale: scales are positive and lie in the ran",
    ),
    "too large": (
        {"exponent": 1024},
        "PowerOfTwo(exponent=1024) is no scale: scales are positive and lie in the range",
    ),
    "too small": ({"mul": 1, "shift": 9999}, "Dyadic(mul=1, shift=9999) is no scale: scales are positive and lie in t"),
    "one of several": (
        {"axis": -1, "scales": [{"exponent": 0}, {"exponent": 0}, {"mul": -1, "shift": 0}]},
        "Dyadic(mul=-1, shift=0) is no scale: scales are positive and lie in the range of float64",
    ),
    "too few": (
        {"axis": -1, "scales": [{"exponent": 0}]},
        "it has 1 scales along axis -1, its shape is (-1, 2, 3)",
    ),
    "no such axis": (
        {"axis": -4, "scales": [{"exponent": 0}]},
        "it has 1 scales along axis -4, its shape is (-1, 2, 3)",
    ),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_that_is_none(bundle: Path, name: str) -> None:
    entry, why = SCALES[name]
    edit(bundle, put(entry, "values", "x", "scale"), resign=True)
    assert f"  why  'x': {why}" in refusal(bundle)


def test_entries_that_no_graph_has(bundle: Path) -> None:
    edit(bundle, lambda d: d.update(note="mine", author="me"), resign=True)
    assert refusal(bundle) == (
        "this bundle cannot be loaded\n"
        "  at   BUNDLE\n"
        "  why  graph.json has the unknown entry 'author'\n"
        "       graph.json has the unknown entry 'note'\n"
        "  fix  make the bundle again from the network"
    )


def test_entries_inside_that_no_graph_has(bundle: Path) -> None:
    edit(bundle, put("mine", "values", "x", "note"), resign=True)
    assert "  why  'values' in graph.json says more than a graph has\n" in refusal(bundle)


@pytest.mark.parametrize("name", ["../report.json", "/etc/passwd", "graph.json", "notes.txt", ""])
def test_a_list_of_files_that_names_others(bundle: Path, name: str) -> None:
    edit(bundle, put("0" * 64, "files", name))
    assert (
        f"  why  {name!r} is no file of a bundle: beside the network are "
        "golden.safetensors, recipe.toml, report.json\n" in refusal(bundle)
    )


def everywhere(document: Any, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The path of every entry of a JSON document."""
    if isinstance(document, dict | list):
        for key, entry in document.items() if isinstance(document, dict) else enumerate(document):
            yield *path, key
            yield from everywhere(entry, (*path, key))


WRONG: tuple[Any, ...] = (None, True, -1, 3.5, 1 << 70, "x", [], [[1]], {}, {"a": 1}, [[]] * 500)


@pytest.mark.parametrize("start", range(2))
def test_any_entry_may_be_anything(bundle: Path, start: int) -> None:
    """Every entry of graph.json is replaced: the bundle is refused in words, or it is a sound graph still."""
    text = (bundle / JSON).read_text()
    n_refused = 0
    for number, path in enumerate(everywhere(json.loads(text)), start * 5):
        (bundle / JSON).write_text(text)
        edit(bundle, put(WRONG[number % len(WRONG)], *path), resign=path[0] != "digest")
        try:
            assert problems_of(load(bundle)) == []
        except UsageError:  # anything else is a failure
            n_refused += 1
    assert n_refused > 50


def test_nesting_beyond_what_python_reads(bundle: Path) -> None:
    (bundle / JSON).write_text("[" * 100_000)
    assert "  why  graph.json is damaged: " in refusal(bundle)


@pytest.mark.parametrize(
    "text", ["[]", "5", "null", '"schema"', '{"schema": 1}', '{"schema": 1, "x": NaN}', "{", "\xff"]
)
def test_a_file_that_is_no_graph(bundle: Path, text: str) -> None:
    (bundle / JSON).write_bytes(text.encode("latin-1"))
    assert refusal(bundle).startswith("this bundle cannot be loaded\n  at   BUNDLE\n  why  ")


@pytest.mark.parametrize("name", codec.SIDE_FILES)
def test_a_flipped_byte_beside_the_network(bundle: Path, name: str) -> None:
    file = bundle / name
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    assert refusal(bundle) == (
        f"this bundle cannot be loaded\n  at   BUNDLE\n  why  {name} does not match its digest\n{CHANGED}"
    )
    file.unlink()
    assert f"  why  {name} is missing\n" in refusal(bundle)
