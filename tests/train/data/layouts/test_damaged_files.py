"""What is cut off, missing, foreign or does not belong together is refused, by file, in words."""

from __future__ import annotations

import gzip
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arithmos.errors import UsageError
from arithmos.train.data.datasets import load, open_split
from arithmos.train.data.layouts import cifar_archive, idx, webdataset
from arithmos.train.data.split import Wanted
from picture_files import cifar_batch, encoded, pixels, write_idx, write_parquet, write_tar, write_tree

pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')

PICTURE = encoded(pixels(1)[0])
TRAIN = Wanted("cifar10", "train", ("train",), 10)


def refused(name: str, split: str, root: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_split(name, split, root)
    return caught.value


def some_batches(root: Path, *names: str) -> None:
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).write_bytes(cifar_batch(pixels(4), [1, 2, 3, 4]))


def test_missing_batches(tmp_path: Path) -> None:
    some_batches(tmp_path / "cifar-10-batches-py", "data_batch_1", "data_batch_4", "test_batch")
    assert str(refused("cifar10", "train", tmp_path)) == (
        f"the split is incomplete: 2 of 5 files\n  at   {tmp_path / 'cifar-10-batches-py'}\n"
        "  why  missing: data_batch_2, data_batch_3, data_batch_5\n"
        "  fix  fetch and unpack cifar-10-python.tar.gz again"
    )
    assert open_split("cifar10", "test", tmp_path).place(3).endswith("cifar-10-batches-py, test_batch, row 3")


def test_rows_are_named_by_their_batch(tmp_path: Path) -> None:
    some_batches(tmp_path, *cifar_archive.BATCHES["train"])
    assert open_split("cifar10", "train", tmp_path).place(9) == f"{tmp_path}, data_batch_3, row 1"


def test_a_batch_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}q\x01(U\x04dataK\x01U\x0bfine_labels]u.")
    error = refused("cifar10", "test", tmp_path)
    assert error.what == "this is no batch of CIFAR-10"
    assert error.why.endswith("it holds data, fine_labels")
    (tmp_path / "test_batch").write_bytes(cifar_batch(pixels(2), [1, 2])[:-3000])
    assert refused("cifar10", "test", tmp_path).what == "the pickle cannot be read"
    (tmp_path / "test_batch").write_bytes(b"\x80\x02cos\nsystem\nU\x04true\x85R.")
    assert refused("cifar10", "test", tmp_path).what == "the pickle holds a reference to os.system"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_whose_download_broke_off(tmp_path: Path, share: float) -> None:
    file = tmp_path / "cifar-10-python.tar.gz"
    batch = cifar_batch(pixels(4), [1, 2, 3, 4])
    write_tar(file, {f"cifar-10-batches-py/{name}": batch for name in cifar_archive.BATCHES["train"]}, "w:gz")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    error = refused("cifar10", "train", tmp_path)
    assert error.what == "the archive cannot be read"
    assert error.where == str(file)
    assert error.why.startswith("it is cut off or damaged: ")


def test_an_archive_of_huge_members_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_archive, "_LARGEST", 1000)
    batch = cifar_batch(pixels(4), [1, 2, 3, 4])
    write_tar(tmp_path / "cifar-10-python.tar.gz", {"cifar-10-batches-py/test_batch": batch}, "w:gz")
    assert refused("cifar10", "test", tmp_path).what == "the split is incomplete: 0 of 1 files"


def test_damaged_idx(tmp_path: Path) -> None:
    labels, pictures = tmp_path / "t10k-labels-idx1-ubyte", tmp_path / "t10k-images-idx3-ubyte"
    write_idx(labels, np.arange(5))
    assert str(refused("mnist", "test", tmp_path)) == (
        f"the split is incomplete: 1 of 2 files\n  at   {tmp_path}\n"
        "  why  missing: t10k-images-idx3-ubyte, with or without .gz\n  fix  fetch the missing file"
    )
    write_idx(pictures, pixels(4, 28, 1))
    assert refused("mnist", "test", tmp_path).what == "4 pictures and 5 labels"
    whole = pictures.read_bytes()
    for content, why in (
        (whole[:-7], "it has 3,129 values and says 3,136: it is cut off or damaged"),
        (whole + b"0", "it has 3,137 values and says 3,136: it is cut off or damaged"),
        (whole[:9], "it does not begin as an IDX file does"),
        (b"PK" + whole, "it does not begin as an IDX file does"),
        (struct.pack(">BBBB4I", 0, 0, 13, 3, 1, 28, 28, 0), "its values are of type 13 on 3 axes, and not bytes on 3"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "it has 0 values and says 79,228,162,458,924,105,385,"),
    ):
        pictures.write_bytes(content)
        error = refused("mnist", "test", tmp_path)
        assert (error.what, error.where) == ("the IDX file cannot be read", str(pictures))
        assert error.why.startswith(why)
    pictures.unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole)[:-9])
    assert refused("mnist", "test", tmp_path).why.startswith("it is cut off or damaged: ")


def test_class_folders(tmp_path: Path) -> None:
    write_tree(tmp_path / "val", [PICTURE, PICTURE], ["n00000001", "n00000002"])
    assert str(refused("imagenet", "test", tmp_path)) == (
        f"2 classes, and data set 'imagenet' has 1,000\n  at   {tmp_path}\n"
        "  why  a class has its position among all of them for its number, and these are others: n00000001, n00000002\n"
        "  fix  complete them, or put a file that lists all classes beside them: LOC_synset_mapping.txt or "
        "synset_words.txt or synsets.txt or imagenet_class_index.json"
    )
    (tmp_path / "synsets.txt").write_text("n00000002\nn00000009\n")
    error = refused("imagenet", "test", tmp_path)
    assert (error.what, error.why) == (
        "1 of 2 classes are not those of data set 'imagenet'",
        "unknown: n00000001",
    )
    (tmp_path / "synsets.txt").write_text("n00000009\nn00000002\nn00000001\n")
    assert open_split("imagenet", "test", tmp_path).labels.tolist() == [1, 2]
    (tmp_path / "val" / "n00000009").mkdir()
    (tmp_path / "val" / "n00000009" / "notes.txt").touch()
    (tmp_path / "val" / "n00000009" / "._1.JPEG").touch()
    error = refused("imagenet", "test", tmp_path)
    assert (error.what, error.why) == ("1 of 3 class folders have no pictures", "empty: n00000009")
    (tmp_path / "synsets.txt").unlink()
    (tmp_path / "imagenet_class_index.json").write_text('{"0": 5}')
    assert refused("imagenet", "test", tmp_path).what == "the list of classes cannot be read"


def test_names_that_would_change_the_order(tmp_path: Path) -> None:
    names = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    write_tree(tmp_path / "test", [PICTURE] * 10, names)
    assert open_split("cifar10", "test", tmp_path).labels.tolist() == list(range(10))
    found = open_split("cifar10", "test", tmp_path)
    assert [found.place(row).split("/")[-2] for row in range(10)] == names
    write_tree(tmp_path / "train", [PICTURE] * 3, ["10", "9", "2"])
    assert refused("cifar10", "train", tmp_path).what == "1 of 3 labels are no class of data set 'cifar10'"


def flat(root: Path, n: int = 4) -> None:
    root.mkdir(parents=True)
    for k in range(n):
        (root / f"ILSVRC2012_val_0000000{k}.JPEG").write_bytes(PICTURE)


FORMS: dict[str, tuple[str, str, list[int]]] = {
    "caffe": ("val.txt", "ILSVRC2012_val_0000000{0}.JPEG {1}\n", [3, 1, 2, 0]),
    "tabs and boxes": (
        "val_annotations.txt",
        "ILSVRC2012_val_0000000{0}.JPEG\tn0000000{1}\t0\t0\t6\t6\n",
        [3, 1, 2, 0],
    ),
    "csv with a header": ("val.csv", "ILSVRC2012_val_0000000{0}.JPEG,{1}\n", [9, 1, 2, 0]),
    "kaggle": (
        "LOC_val_solution.csv",
        "ILSVRC2012_val_0000000{0},n0000000{1} 1 2 3 4 n0000000{1} 5 6 7 8\n",
        [3, 1, 2, 0],
    ),
    "classes alone": ("val.txt", "{1}\n", [8, 1, 7, 0]),
    "wnids alone": ("val_labels.txt", "n0000000{1}\n", [3, 1, 2, 0]),
    "with folders": ("val_map.txt", "val/ILSVRC2012_val_0000000{0}.JPEG {1}\n", [3, 1, 2, 0]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("above", [False, True])
def test_label_files(tmp_path: Path, form: str, above: bool) -> None:
    name, line, labels = FORMS[form]
    header = {"csv with a header": "filename,label\n", "kaggle": "ImageId,PredictionString\n"}.get(form, "")
    root = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" if above else tmp_path
    flat(root / "val")
    (tmp_path / name).write_text(header + "".join(line.format(k, label) for k, label in enumerate(labels)))
    (tmp_path / "synset_words.txt").write_text("".join(f"n0000000{k} thing\n" for k in range(10)))
    found = open_split("imagenet", "test", tmp_path)
    assert (found.layout, found.labels.tolist()) == ("pictures and a label file", labels)


def test_label_files_that_do_not_fit(tmp_path: Path) -> None:
    flat(tmp_path / "val")
    error = refused("imagenet", "test", tmp_path)
    assert error.what == "the pictures have no labels"
    assert error.why.startswith(f"looked in {tmp_path / 'val'} and above for val.txt, val.csv,")
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("490\n361\n171\n822\n")
    assert refused("imagenet", "test", tmp_path).why == (
        "ILSVRC2012_validation_ground_truth.txt counts classes in an order of its own, "
        "which only the development kit's meta.mat explains"
    )
    (tmp_path / "val.txt").write_text("1\n2\n3\n")
    assert refused("imagenet", "test", tmp_path).what == "3 labels for 4 pictures"
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000000.JPEG 4\nILSVRC2012_val_00000009.JPEG 5\n")
    assert str(refused("imagenet", "test", tmp_path)) == (
        "the pictures and the label file do not belong together\n"
        f"  at   {tmp_path / 'val'} and {tmp_path / 'val.txt'}\n"
        "  why  3 pictures have no label: ILSVRC2012_val_00000001.JPEG, ILSVRC2012_val_00000002.JPEG, "
        "ILSVRC2012_val_00000003.JPEG\n"
        "       1 labelled pictures are not there: ILSVRC2012_val_00000009.JPEG\n"
        "  fix  fetch or unpack the split again, or complete the label file"
    )
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00\xd8")
    assert refused("imagenet", "test", tmp_path).what == "the label file cannot be read"


def shard(numbers: range, suffix: str = "cls", label: bytes = b"3") -> dict[str, bytes]:
    return {f"{k:04d}.{kind}": PICTURE if kind == "png" else label for k in numbers for kind in ("png", suffix)}


def test_shards(tmp_path: Path) -> None:
    for k in (0, 1, 3, 4):
        write_tar(tmp_path / f"cifar10-train-{k:06d}.tar", shard(range(k, k + 1)))
    assert str(refused("cifar10", "train", tmp_path)) == (
        f"the split is incomplete: 4 of at least 5 files\n  at   {tmp_path}\n"
        "  why  missing: the numbers 2\n  fix  fetch the missing files"
    )
    write_tar(tmp_path / "cifar10-train-000002.tar", shard(range(2, 3), "json", b'{"label": 7, "width": 32}'))
    found = open_split("cifar10", "train", tmp_path)
    assert found.labels.tolist() == [3, 3, 7, 3, 3]
    assert found.place(2) == f"{tmp_path / 'cifar10-train-000002.tar'}, 0002"
    assert len(load("cifar10", "train", tmp_path)[0]) == 5


def test_samples_that_are_not_whole(tmp_path: Path) -> None:
    file = tmp_path / "train.tar"
    write_tar(file, {**shard(range(2)), "0005.png": PICTURE, "0006.cls": b"1", "notes.txt": b"", "0007.json": b"{}"})
    error = refused("cifar10", "train", tmp_path)
    assert error.what == "2 samples lack their picture or their label"
    assert error.why == "each needs a picture and .cls, or .json with a label: 0005, 0006"
    write_tar(file, shard(range(2), "cls", b"cat"))
    error = refused("cifar10", "train", tmp_path)
    assert (error.what, error.where, error.why) == ("a label is no number", f"{file}, 0000.cls", "it reads b'cat'")
    write_tar(file, shard(range(2), "json", b'{"label": '))
    assert refused("cifar10", "train", tmp_path).what == "a label is no number"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9])
def test_a_shard_that_is_cut_off(tmp_path: Path, share: float) -> None:
    file = tmp_path / "train-0000.tar"
    write_tar(file, shard(range(8)))
    content = file.read_bytes().rstrip(b"\0")
    file.write_bytes(content[: int(share * len(content))])
    error = refused("cifar10", "train", tmp_path)
    assert (error.what, error.where) == ("the tar file cannot be read", str(file))


def test_a_shard_cut_between_two_members(tmp_path: Path) -> None:
    file = tmp_path / "train-0000.tar"
    write_tar(file, shard(range(8)))
    size = 512 + -(-len(PICTURE) // 512) * 512 + 1024  # one sample: two heads, a picture, a label
    file.write_bytes(file.read_bytes()[: 2 * size])
    assert refused("cifar10", "train", tmp_path).why == "it is cut off or is not tar: its end is missing"


def test_parquet_labels_that_are_none(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", [PICTURE] * 3, [1, None, None])
    error = refused("cifar10", "test", tmp_path)
    assert (error.what, error.why) == ("column 'label' holds no classes", "2 of its 3 rows are empty")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_refused_or_read(tmp_path: Path, data: Any) -> None:
    """A byte changed anywhere in a file ends in a split or in our own error."""
    kind = data.draw(st.sampled_from(["cifar", "idx", "tar", "parquet"]))
    root = tmp_path / kind
    if not root.exists():
        some_batches(root, "test_batch") if kind == "cifar" else None
        write_idx(root / "t10k-images-idx3-ubyte", pixels(2, 28, 1)) if kind == "idx" else None
        write_idx(root / "t10k-labels-idx1-ubyte", np.arange(2)) if kind == "idx" else None
        write_tar(root / "test-0000.tar", shard(range(2))) if kind == "tar" else None
        write_parquet(root / "test.parquet", [PICTURE] * 2, [1, 2]) if kind == "parquet" else None
    file = data.draw(st.sampled_from(sorted(root.iterdir())))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, min(len(whole) - 1, 3000)) | st.integers(max(0, len(whole) - 600), len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(damaged))
    with suppress(UsageError):
        images, labels = load("mnist" if kind == "idx" else "cifar10", "test", root)
        assert len(images) == len(labels) and labels.max() < 10
    file.write_bytes(whole)


def test_layouts_answer_none_for_an_empty_folder(tmp_path: Path) -> None:
    assert idx.find(tmp_path, Wanted("mnist", "train", ("train",), 10)) is None
    assert webdataset.find(tmp_path, TRAIN) is None
    assert cifar_archive.find_folder(tmp_path, TRAIN) is None
    assert cifar_archive.find_archive(tmp_path, TRAIN) is None
