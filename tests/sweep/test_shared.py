"""What runs share: written once, whole or not at all; read back to the bit; mapped, not copied."""

from __future__ import annotations

import resource
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.lower.analog import layer_inputs
from arithmos.lower.calibrate import calibrate
from arithmos.lower.quantize import prepare
from arithmos.sweep import shared
from arithmos.sweep.shared import Shared, disk_bytes, key_of, read, write
from arithmos.targets import clear

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.targets.clear.nodes import run_node

GRAPH, CALIBRATION, IMAGES = factories.float_cnn(), factories.images(70), factories.images(90, seed=2)
LABELS = np.arange(90) % 10
ORIGIN = {"model": "cnn", "dataset": "noise"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep") / "shared"


@pytest.fixture(scope="module")
def opened(folder: Path) -> Shared:
    return read(folder, write(folder, GRAPH, CALIBRATION, IMAGES, LABELS, ORIGIN))


def test_what_calibration_saw_comes_back_to_the_bit(opened: Shared) -> None:
    expected = calibrate(GRAPH, [CALIBRATION], keep=len(CALIBRATION))
    assert digest(opened.graph) == digest(GRAPH)
    assert opened.stats.n_samples == expected.n_samples == 70
    assert list(opened.stats.observations) == list(expected.observations)
    for name, seen in expected.observations.items():
        for found, was in zip(astuple(opened.stats.observations[name]), astuple(seen), strict=True):
            assert np.array_equal(found, was), name
    assert [len(piece["x"]) for piece in opened.stats.samples] == [32, 32, 6]
    for found, was in zip(opened.stats.samples, expected.samples, strict=True):
        assert np.array_equal(found["x"], was["x"])


def test_the_inputs_of_layers_are_those_of_the_float_network(opened: Shared) -> None:
    expected = layer_inputs(prepare(GRAPH), opened.stats.samples, run_node)
    names = []
    for (name, found), (layer, pieces) in zip(opened.analog(opened.stats), expected, strict=True):
        names.append(name)
        assert name == layer
        assert [x.dtype for x in found] == [np.float32] * 3
        assert all(np.array_equal(a, b) for a, b in zip(found, pieces, strict=True)), name
    assert names == ["bn1", "layer1.bn1", "layer1.bn2", "fc"]


def test_images_and_facts(opened: Shared) -> None:
    assert np.array_equal(opened.images, IMAGES)
    assert np.array_equal(opened.labels, LABELS)
    order = np.argsort(-clear.outputs(GRAPH, {"x": IMAGES})["fc"], axis=1, kind="stable")
    assert opened.facts["top1"] == float((order[:, 0] == LABELS).mean())
    assert opened.facts["top5"] == float((order[:, :5] == LABELS[:, None]).any(axis=1).mean())
    assert (opened.facts["origin"], opened.facts["n_calibration"]) == (ORIGIN, 70)


def test_large_arrays_are_mapped_and_may_go_to_torch(opened: Shared) -> None:
    for array in (opened.images, opened.stats.samples[1]["x"], *opened.inputs.values()):
        owner: Any = array
        while not isinstance(owner, np.memmap):
            assert owner.base is not None
            owner = owner.base
        assert array.flags.writeable
        assert not owner.mode.startswith("r")


def test_the_folder_is_opened_once_in_a_process(folder: Path, opened: Shared) -> None:
    (key,) = (path.name for path in folder.iterdir())
    assert read(folder, key) is opened


def test_what_is_there_is_not_made_again(folder: Path, opened: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "calibrate", lambda *_, **__: pytest.fail("it was made again"))
    assert write(folder, GRAPH, CALIBRATION, IMAGES, LABELS, ORIGIN) == key_of(GRAPH, CALIBRATION, IMAGES, LABELS)


def test_the_key_is_of_everything() -> None:
    labels = LABELS[::-1].copy()
    keys = {
        key_of(GRAPH, CALIBRATION, IMAGES, LABELS),
        key_of(factories.float_cnn(seed=1), CALIBRATION, IMAGES, LABELS),
        key_of(GRAPH, CALIBRATION[:69], IMAGES, LABELS),
        key_of(GRAPH, CALIBRATION, CALIBRATION, LABELS),
        key_of(GRAPH, CALIBRATION, IMAGES, labels),
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {16}


def test_the_disk_it_takes_is_known_before(folder: Path, opened: Shared) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    texts = [size for path, size in sizes.items() if path.suffix != ".npy"]
    assert 0 <= sum(sizes.values()) - disk_bytes(GRAPH, 70, 90) < sum(texts) + 128 * len(sizes)
    assert disk_bytes(GRAPH, 1000, 0) > 1000 * 4 * (3 * 144 + 3 * 144 + 8 * 36)


@pytest.mark.parametrize("limit", [1 << 14, 1 << 17])  # calibration.npy, or a file of inputs, does not fit
def test_a_full_disk_leaves_nothing_behind(limit: int, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(UsageError) as refused:
            write(tmp_path / "shared", GRAPH, factories.images(110), IMAGES[:10], LABELS[:10], ORIGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.fix == "free some space, or choose another place"
    assert refused.value.why.endswith("; nothing was left behind")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_away(tmp_path: Path) -> None:
    left = tmp_path / ".arithmos-0123456789ab" / "new"
    left.mkdir(parents=True)
    (left / "0.npy").write_bytes(b"half")
    key = write(tmp_path, GRAPH, CALIBRATION[:2], IMAGES[:2], LABELS[:2], {})
    assert [path.name for path in tmp_path.iterdir()] == [key]


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, "0123456789abcdef")
    assert str(refused.value) == (
        f"what the runs share is not there\n  at   {tmp_path}/0123456789abcdef\n"
        "  why  this worker sees no such folder\n"
        "  fix  put the sweep's --out on a disk that all machines of the cluster have at the same path"
    )


def two_outputs() -> Graph:
    b = Builder("float")
    x = b.input("x", (-1, 3))
    return b.graph(b.add("relu", x, name="y"), b.add("tanh", x, name="z"))


@pytest.mark.parametrize("file", ["calibration.npy", "graph/graph.json", "facts.json"])
def test_a_damaged_folder_is_named_and_what_to_do(tmp_path: Path, file: str) -> None:
    key = write(tmp_path, GRAPH, CALIBRATION, IMAGES, LABELS, ORIGIN)
    place = tmp_path / key
    (place / file).write_bytes((place / file).read_bytes()[:-40])
    with pytest.raises(UsageError, match="what the runs share is damaged") as caught:
        read(tmp_path, key)
    assert caught.value.where == str(place) and caught.value.fix == f"remove {place}, and it is made again"


def test_only_classifiers_are_swept(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        write(tmp_path, two_outputs(), IMAGES, IMAGES, LABELS, {})
    assert str(refused.value) == (
        "this network cannot be swept\n"
        "  why  it has 1 inputs and 2 outputs, the first of shape (-1, 3): a sweep measures classifiers, from one "
        "batch of images to one of logits\n"
        "  fix  give a network that returns (images, classes)"
    )


@pytest.mark.parametrize(
    ("labels", "why"),
    [(LABELS + 1, "they go to 10, it has 10 classes"), (LABELS[:0], "there are none")],
)
def test_labels_of_another_data_set_are_refused(labels: np.ndarray, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        write(tmp_path, GRAPH, CALIBRATION, IMAGES, labels, {})
    assert str(refused.value) == (
        f"the labels do not fit the network\n  why  {why}\n"
        "  fix  give labelled test images of the data set that the network was trained on"
    )
