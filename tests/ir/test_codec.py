"""The bundle: byte-identical round trips, a digest of the content alone, and every kind of tampering refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import factories
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.ir import codec
from arithmos.ir.build import Builder
from arithmos.ir.check import problems_of
from arithmos.ir.codec import decode, decode_scale, digest, encode, encode_scale, load, random_inputs, save
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import INT64, Interval, interval_of, signed, unsigned
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, Scale

GOLDEN = Path(__file__).parent.parent / "golden"
JSON, TENSORS = codec.GRAPH_FILE, codec.TENSOR_FILE


def tiny() -> Graph:
    """Every kind of scale, source, attribute and constant there is, in few nodes."""
    b = Builder("int")
    x = b.input("x", (-1, 2, 3), unsigned(8), PowerOfTwo(-8), Source("", "model.py:1"))
    w = b.constant("w", np.array([[1, -2, 3], [4, 5, -6]]), PerChannel(-2, (Dyadic(3, 9), PowerOfTwo(-7))))
    acc = b.add("linear", x, w, name="acc", scale=PerChannel(-1, (Dyadic(3, 17), PowerOfTwo(-15))), source=Source("fc"))
    mul = b.constant("mul", np.array(77))
    y = b.add("requantize", acc, mul, shift=8, lo=-127, hi=127, name="y", scale=Dyadic(5, 12))
    y = b.add("clip", y, lo=-3, hi=None, name="open")
    table = b.constant("entries", np.arange(131) ** 2 - 300)
    return b.graph(b.add("table", y, table, offset=-3, axis=None, name="z"), x)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save(tiny(), tmp_path / "net", recipe="weight_bits = 8\n", report={"top1": 0.5})


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(path)
    return str(caught.value).replace(str(path), "BUNDLE")


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir()}


@pytest.mark.parametrize("name", factories.INTEGER)
def test_round_trip_is_byte_identical(name: str, tmp_path: Path) -> None:
    graph = factories.INTEGER[name]()
    once = load(save(graph, tmp_path / "once"))
    save(once, tmp_path / "twice")
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")
    assert digest(once) == digest(graph)
    assert (once.nodes, once.inputs, once.outputs) == (graph.nodes, graph.inputs, graph.outputs)
    assert dict(once.values) == dict(graph.values)
    for key, array in graph.constants.items():
        assert once.constants[key].dtype == array.dtype and np.array_equal(once.constants[key], array)


def test_round_trip_of_a_float_graph(tmp_path: Path) -> None:
    graph = factories.float_cnn()
    again = load(save(graph, tmp_path / "float"))
    assert digest(again) == digest(graph) and again.op_set == "float"
    assert not (tmp_path / "float" / codec.GOLDEN_FILE).exists()
    assert np.array_equal(evaluate(again, {"x": factories.images(1)})["fc"], evaluate(graph, {"x": factories.images(1)})["fc"])


def test_what_a_bundle_holds(bundle: Path) -> None:
    names = {"graph.json", "tensors.safetensors", "golden.safetensors", "recipe.toml", "report.json"}
    assert names <= set(contents(bundle))
    assert (bundle / "recipe.toml").read_text() == "weight_bits = 8\n"
    assert json.loads((bundle / "report.json").read_text()) == {"top1": 0.5}
    text = (bundle / JSON).read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


def test_golden_values_are_those_of_the_interpreter_in_the_narrowest_types(bundle: Path) -> None:
    golden = safetensors.numpy.load_file(bundle / codec.GOLDEN_FILE)
    graph = load(bundle)
    values = evaluate(graph, {"x": golden["x"]}, every=True)
    assert set(golden) == set(values)
    for name, array in values.items():
        assert np.array_equal(golden[name], array) and golden[name].dtype.itemsize <= 2


def test_golden_of_float_images_are_rounded_at_the_border(tmp_path: Path) -> None:
    image = np.full((1, 2, 3), 0.5)
    save(tiny(), tmp_path / "net", golden={"x": image})
    golden = safetensors.numpy.load_file(tmp_path / "net" / codec.GOLDEN_FILE)
    assert np.array_equal(golden["x"], np.full((1, 2, 3), 128))


def test_an_existing_directory_needs_force(bundle: Path) -> None:
    before = contents(bundle)
    with pytest.raises(UsageError):
        save(factories.pools(), bundle)
    assert contents(bundle) == before
    save(factories.pools(), bundle, force=True)
    assert digest(load(bundle)) == digest(factories.pools())


def test_the_digest_does_not_depend_on_the_order_of_dictionaries() -> None:
    graph = tiny()
    reordered = dataclasses.replace(
        graph,
        values=dict(reversed(graph.values.items())),
        constants=dict(reversed(graph.constants.items())),
        nodes=tuple(dataclasses.replace(n, attrs=dict(reversed(n.attrs.items()))) for n in graph.nodes),
    )
    assert digest(reordered) == digest(graph)


def changed(name: str, **changes: Any) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        return dataclasses.replace(
            graph, values={**graph.values, name: dataclasses.replace(graph.values[name], **changes)}
        )

    return change


def with_constant(graph: Graph, array: np.ndarray) -> Graph:
    return dataclasses.replace(graph, constants={**graph.constants, "mul": array})


@pytest.mark.parametrize(
    "change",
    [
        changed("acc", range=signed(20)),
        changed("acc", scale=None),
        changed("acc", source=Source("fc2")),
        changed("acc", shape=(-1, 3, 2)),
        lambda g: dataclasses.replace(g, outputs=("z",)),
        lambda g: dataclasses.replace(g, nodes=g.nodes[:-1]),
        lambda g: with_constant(g, np.array(78, dtype=np.uint8)),
        lambda g: with_constant(g, np.array(77, dtype=np.uint16)),
        lambda g: with_constant(g, np.array([77], dtype=np.uint8)),
    ],
)
def test_the_digest_covers_everything(change: Callable[[Graph], Graph]) -> None:
    assert digest(change(tiny())) != digest(tiny())


@given(st.integers(-1074, 1000), st.integers(1, 1 << 53), st.integers(0, 100))
def test_scales_round_trip(exponent: int, mul: int, shift: int) -> None:
    one: Scale = PowerOfTwo(exponent)
    for scale in (one, Dyadic(mul, shift), PerChannel(-3, (PowerOfTwo(exponent), Dyadic(mul, shift)))):
        assert decode_scale(json.loads(json.dumps(encode_scale(scale)))) == scale


def test_encode_decode_without_a_disk() -> None:
    graph = tiny()
    document = json.loads(json.dumps(encode(graph)))
    assert encode(decode(document, graph.constants)) == encode(graph)


def test_random_inputs_fill_their_ranges() -> None:
    b = Builder("int")
    x = b.input("x", (-2, 50), Interval(-3, 2))
    graph = b.graph(x, b.input("wide", (1, 4), INT64))
    inputs = random_inputs(graph, 3, seed=4)
    assert inputs["x"].shape == (6, 50) and inputs["x"].dtype == np.int8 and interval_of(inputs["x"]) == Interval(-3, 2)
    assert inputs["wide"].shape == (1, 4) and inputs["wide"].dtype == np.int64
    assert np.array_equal(random_inputs(graph, 3, seed=4)["x"], inputs["x"])


# --- refusals -------------------------------------------------------------------------------------------------------

CHANGED = "  fix  copy or make the bundle again; it was changed after it was written"


def edit(path: Path, change: Callable[[dict[str, Any]], object], *, resign: bool = False) -> None:
    """Change graph.json; with resign, also its digest, as somebody would who knows the format."""
    document = json.loads((path / JSON).read_text())
    change(document)
    if resign:
        body = {k: v for k, v in document.items() if k != "digest"}
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
    "change", [lambda a: a.astype(np.int16), lambda a: a.reshape(3, 2), lambda a: a[::-1]], ids=["type", "shape", "order"]
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
        assert "  why  a file is damaged: " in refusal(bundle)
    (bundle / TENSORS).write_bytes(data)
    text = (bundle / JSON).read_text()
    (bundle / JSON).write_text(text[: len(text) // 2])
    assert "  why  a file is damaged: " in refusal(bundle)


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
    *(put(value, key) for key in ("op_set", "inputs", "outputs", "nodes", "values", "tensors") for value in (None, 5, "?!", [1])),
    put("poly", "op_set"),
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
    drop("tensors", "w"),
]


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_whoever_forges_the_digest_too_is_still_refused(bundle: Path, number: int) -> None:
    edit(bundle, FORGED[number], resign=True)
    assert refusal(bundle).startswith("this bundle cannot be loaded\n  at   BUNDLE\n  why  ")


@pytest.mark.parametrize("text", ["[]", "5", "null", '"schema"', '{"schema": 1}', '{"schema": 1, "x": NaN}', "{", "\xff"])
def test_a_file_that_is_no_graph(bundle: Path, text: str) -> None:
    (bundle / JSON).write_bytes(text.encode("latin-1"))
    assert refusal(bundle).startswith("this bundle cannot be loaded\n  at   BUNDLE\n  why  ")


# --- old bundles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", range(1, codec.SCHEMA + 1))
def test_bundles_of_every_schema_still_load_and_compute_the_same(schema: int) -> None:
    folder = GOLDEN / f"bundle-v{schema}"
    graph = load(folder)
    assert problems_of(graph) == []
    golden = safetensors.numpy.load_file(folder / codec.GOLDEN_FILE)
    values = evaluate(graph, {name: golden[name] for name in graph.inputs}, every=True)
    assert set(values) == set(golden) and all(np.array_equal(values[name], golden[name]) for name in golden)


def test_the_current_schema_is_written_as_it_was(tmp_path: Path) -> None:
    """A difference here means that old digests are lost: raise SCHEMA, keep a migration and the old golden bundle."""
    old = GOLDEN / f"bundle-v{codec.SCHEMA}"
    save(tiny(), tmp_path / "new")
    assert contents(tmp_path / "new") == contents(old)
    assert digest(tiny()) == "1b41e1d2efe008e4353e6323f0b1a3b6d7470fd15c9b06e35933472e2a4d371f"


def test_a_migration_is_applied_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(GOLDEN / "bundle-v1", tmp_path / "old")
    monkeypatch.setattr(codec, "SCHEMA", 3)

    def to_two(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "schema": 2, "outputs": ["x"]}

    def to_three(document: dict[str, Any]) -> dict[str, Any]:
        assert document["schema"] == 2
        return {**document, "schema": 3, "outputs": [*document["outputs"], "z"]}

    monkeypatch.setattr(codec, "MIGRATIONS", {1: to_two, 2: to_three})
    assert load(tmp_path / "old").outputs == ("x", "z")
