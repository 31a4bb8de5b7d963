"""The bundle: byte-identical round trips, a digest of the content alone, and old bundles that still load."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import factories
from arithmos.errors import UsageError
from arithmos.ir import codec
from arithmos.ir.build import Builder
from arithmos.ir.check import problems_of
from arithmos.ir.codec import decode, decode_scale, digest, encode, encode_scale, load, random_inputs, save
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import INT64, Interval, interval_of, signed
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, Scale
from samples import tiny

GOLDEN = Path(__file__).parent.parent / "golden"
JSON, TENSORS = codec.GRAPH_FILE, codec.TENSOR_FILE


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save(tiny(), tmp_path / "net", recipe="weight_bits = 8\n", report={"top1": 0.5})


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
    assert np.array_equal(
        evaluate(again, {"x": factories.images(1)})["fc"], evaluate(graph, {"x": factories.images(1)})["fc"]
    )


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


def test_golden_inputs_come_in_any_form_that_run_takes(tmp_path: Path) -> None:
    save(tiny(), tmp_path / "net", golden=np.full((1, 2, 3), 0.5))
    assert np.array_equal(
        safetensors.numpy.load_file(tmp_path / "net" / codec.GOLDEN_FILE)["x"], np.full((1, 2, 3), 128)
    )


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    bad: list[tuple[Any, dict[str, Any], str]] = [
        ("net", {}, "a graph is needed, this is of type str\n"),
        (
            tiny(),
            {"report": {"top1": np.float32(1)}},
            "the facts cannot be written to report.json\n  why  Object of type",
        ),
        (tiny(), {"recipe": 5}, "the recipe is of type int\n  why  the text of recipe.toml is stored\n"),
        (tiny(), {"golden": np.zeros((1, 9))}, "the network cannot take these inputs\n"),
    ]
    for graph, options, text in bad:
        with pytest.raises(UsageError) as caught:
            save(graph, tmp_path / "net", **options)
        assert str(caught.value).startswith(text)
        assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_needs_force(bundle: Path) -> None:
    before = contents(bundle)
    with pytest.raises(UsageError):
        save(factories.pools(), bundle)
    assert contents(bundle) == before
    save(factories.pools(), bundle, force=True)
    assert digest(load(bundle)) == digest(factories.pools())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError) as caught:
        save(tiny(), tmp_path / "deep" / "net")
    assert "no space left on device; nothing was left behind" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


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
    assert (tmp_path / "new" / JSON).read_bytes() == (old / JSON).read_bytes()
    new_tensors, old_tensors = (safetensors.numpy.load_file(folder / TENSORS) for folder in (tmp_path / "new", old))
    assert {n: a.tobytes() for n, a in new_tensors.items()} == {n: a.tobytes() for n, a in old_tensors.items()}
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
