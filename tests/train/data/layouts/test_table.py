"""Whatever the layout, the same pictures and labels come out; and what is not there says where it was looked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.train.data.classes import CLASSES
from arithmos.train.data.datasets import load, open_split
from arithmos.train.data.loader import loader
from arithmos.train.data.preparation import Preparation
from picture_files import (
    cifar_batch,
    cifar_meta,
    encoded,
    pixels,
    write_idx,
    write_parquet,
    write_tar,
    write_tree,
)

pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')
pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

CIFAR10 = CLASSES["cifar10"]
LABELS = [k // 2 for k in range(20)]
PICTURES = pixels(20)


def batches_folder(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "test_batch").write_bytes(cifar_batch(PICTURES, LABELS))
    for k in range(5):
        rows = slice(4 * k, 4 * k + 4)
        (root / f"data_batch_{k + 1}").write_bytes(cifar_batch(PICTURES[rows], LABELS[rows]))
    (root / "batches.meta").write_bytes(cifar_meta(CIFAR10))


def archive(root: Path) -> None:
    batches_folder(root / "made")
    members = {f"cifar-10-batches-py/{file.name}": file.read_bytes() for file in sorted((root / "made").iterdir())}
    for file in (root / "made").iterdir():
        file.unlink()
    write_tar(root / "cifar-10-python.tar.gz", members, "w:gz")


def parquet(root: Path) -> None:
    for split in ("train", "test"):
        write_parquet(root / f"{split}-00000-of-00001.parquet", [encoded(p) for p in PICTURES], LABELS)


def tree(root: Path) -> None:
    for split in ("train", "test"):
        write_tree(root / split, [encoded(p) for p in PICTURES], [CIFAR10[label] for label in LABELS])


def shards(root: Path) -> None:
    for split in ("train", "test"):
        for shard in range(2):
            rows = range(10 * shard, 10 * shard + 10)
            members = {f"{k:06d}.png": encoded(PICTURES[k]) for k in rows}
            members |= {f"{k:06d}.cls": b"%d\n" % LABELS[k] for k in rows}
            write_tar(root / f"cifar10-{split}-{shard:04d}.tar", dict(sorted(members.items())))


def flat(root: Path) -> None:
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        for k, picture in enumerate(PICTURES):
            (root / split / f"{k:03d}.png").write_bytes(encoded(picture))
        (root / f"{split}.txt").write_text("".join(f"{k:03d}.png {label}\n" for k, label in enumerate(LABELS)))


LAYOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "": (batches_folder, "CIFAR-10 batches"),
    "cifar-10-batches-py": (batches_folder, "CIFAR-10 batches"),
    "cifar10": (archive, "CIFAR-10 archive"),
    "cifar10/plain_text": (parquet, "Parquet"),
    "cifar-10": (tree, "folder tree"),
    "cifar10/": (shards, "WebDataset"),
    "cifar-10/": (flat, "pictures and a label file"),
}
"""Where it is put -> how, and what it is found to be."""


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("place", LAYOUTS)
def test_every_layout_gives_the_same(tmp_path: Path, place: str, split: str) -> None:
    write, name = LAYOUTS[place]
    root = tmp_path / "data"
    write(root / place)
    found = open_split("cifar10", split, root)
    assert found.layout == name
    assert found.labels.dtype == np.int64
    images, labels = load("cifar10", split, root, preparation=Preparation())
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(images, PICTURES.transpose(0, 3, 1, 2) / np.float32(255))
    batches = loader("cifar10", split, root, batch_size=20)
    shown, _ = next(iter(batches))
    np.testing.assert_array_equal(shown.numpy(), load("cifar10", split, root)[0])


def test_the_digest_is_that_of_the_pixels_whatever_the_layout(tmp_path: Path) -> None:
    found = set()
    for number, (write, _) in enumerate(LAYOUTS.values()):
        write(tmp_path / str(number) / "cifar10")
        found.add(loader("cifar10", "test", tmp_path / str(number), batch_size=20).digest)
    assert len(found) == 1
    other = tmp_path / "other"
    write_parquet(other / "test.parquet", [encoded(p) for p in PICTURES], [*LABELS[:-1], 0])
    assert loader("cifar10", "test", other, batch_size=20).digest not in found


def test_class_names_come_with_the_files(tmp_path: Path) -> None:
    batches_folder(tmp_path / "a")
    tree(tmp_path / "b")
    assert open_split("cifar10", "test", tmp_path / "a").classes == CIFAR10
    assert open_split("cifar10", "test", tmp_path / "b").classes == CIFAR10


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw", "mnist"])
@pytest.mark.parametrize("dot", [False, True])
def test_mnist(tmp_path: Path, suffix: str, place: str, dot: bool) -> None:
    grey = pixels(12, 28, 1)
    for stem, n in (("train", 12), ("t10k", 5)):
        names = [f"{stem}-images-idx3-ubyte{suffix}", f"{stem}-labels-idx1-ubyte{suffix}"]
        names = [name.replace("-idx", ".idx") for name in names] if dot else names
        write_idx(tmp_path / place / names[0], grey[:n])
        write_idx(tmp_path / place / names[1], np.arange(n) % 10)
    images, labels = load("mnist", "train", tmp_path, preparation=Preparation(channels=1))
    np.testing.assert_array_equal(labels, np.arange(12) % 10)
    np.testing.assert_array_equal(images[:, 0], grey / np.float32(255))
    assert open_split("mnist", "test", tmp_path).layout == "IDX"
    assert len(load("mnist", "test", tmp_path)[0]) == 5


def test_mnist_in_parquet(tmp_path: Path) -> None:
    grey = pixels(4, 28, 1)
    write_parquet(tmp_path / "mnist" / "test-00000-of-00001.parquet", [encoded(p) for p in grey], [3, 1, 4, 1], "image")
    images, labels = load("mnist", "test", tmp_path, preparation=Preparation(channels=1))
    np.testing.assert_array_equal(images[:, 0], grey / np.float32(255))
    assert labels.tolist() == [3, 1, 4, 1]
    three = load("mnist", "test", tmp_path, preparation=Preparation(channels=3))[0]
    assert three.shape == (4, 3, 28, 28) and (three[:, 0] == three[:, 2]).all()


@pytest.mark.parametrize("split", ["val", "validation"])
def test_imagenet_in_its_layouts(tmp_path: Path, split: str) -> None:
    wnids = [f"n{k:08d}" for k in range(1000)]
    (tmp_path / "LOC_synset_mapping.txt").write_text("".join(f"{w} a thing, another\n" for w in wnids))
    pictures = [encoded(p, "jpeg") for p in pixels(3, 40)]
    write_tree(tmp_path / split, pictures, [wnids[7], wnids[0], wnids[999]], ".JPEG")
    found = open_split("imagenet", "test", tmp_path)
    assert (found.layout, found.labels.tolist()) == ("folder tree", [0, 7, 999])
    assert (found.classes[7], found.classes[8]) == (wnids[7], "")
    assert load("imagenet", "test", tmp_path)[0].shape == (3, 3, 224, 224)


def test_what_is_not_there_says_every_layout_and_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_split("cifar10", "test", tmp_path)
    assert str(caught.value) == (
        f"no pictures of split 'test' of data set 'cifar10'\n  at   {tmp_path}\n"
        "  why  looked in ., cifar10, cifar-10 for\n"
        "       CIFAR-10 batches: test_batch (also in cifar-10-batches-py)\n"
        "       CIFAR-10 archive: cifar-10-python.tar.gz\n"
        "       Parquet: test-*.parquet, test.parquet, test/*.parquet (also in data, plain_text)\n"
        "       WebDataset: *test*-0000.tar …, test/*.tar\n"
        "       folder tree: test/<class>/*.jpg, .png …\n"
        "       pictures and a label file: test/*.jpg, .png …, with test.txt, .csv, .tsv or .json, or _labels, "
        "_annotations or _map behind the name, LOC_test_solution.csv, or labels.txt\n"
        "  fix  check --data-dir, or fetch the split"
    )


def test_an_empty_split(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", [], [])
    with pytest.raises(UsageError) as caught:
        open_split("cifar10", "test", tmp_path)
    assert str(caught.value) == (
        f"split 'test' of data set 'cifar10' has no pictures\n  at   {tmp_path}\n"
        "  why  its files (Parquet) have no rows\n  fix  fetch the split again"
    )


def test_labels_that_are_no_class(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", [encoded(p) for p in PICTURES[:3]], [9, 10, -1])
    with pytest.raises(UsageError) as caught:
        open_split("cifar10", "test", tmp_path)
    file = tmp_path / "test.parquet"
    assert str(caught.value) == (
        f"2 of 3 labels are no class of data set 'cifar10'\n  at   {tmp_path}\n"
        f"  why  its classes are 0 to 9\n       {file}, row 1: 10\n       {file}, row 2: -1\n"
        "  fix  check --dataset and --data-dir; a test split without labels cannot be used"
    )


def test_json_is_not_needed_but_understood(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for k in range(3):
        (tmp_path / "test" / f"{k}.png").write_bytes(encoded(PICTURES[k]))
    (tmp_path / "labels.json").write_text(json.dumps({"0.png": 4, "1.png": "cat", "2.png": "truck"}))
    with pytest.raises(UsageError) as caught:
        open_split("cifar10", "test", tmp_path)
    assert caught.value.what == "1 of 3 classes are not those of data set 'cifar10'"
    (tmp_path / "labels.json").write_text(json.dumps({"0.png": "Deer", "1.png": "cat", "2.png": "truck"}))
    assert open_split("cifar10", "test", tmp_path).labels.tolist() == [4, 3, 9]
