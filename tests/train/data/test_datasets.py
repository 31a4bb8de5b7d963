"""Data sets by name: digits from scikit-learn, the others from Parquet as Hugging Face lays it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.train.data.datasets import DATASETS, load, stream
from arithmos.train.data.digits import digits
from arithmos.train.data.preparation import Preparation
from picture_files import encoded, pixels, write_parquet

arrow = pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')

PLAIN = Preparation()


def write(file: Path, pictures: list[np.ndarray], labels: list[int], column: str = "img", **options: int) -> None:
    write_parquet(file, [encoded(picture) for picture in pictures], labels, column, **options)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return list(pixels(23))


@pytest.fixture
def labels() -> list[int]:
    return [k % 10 for k in range(23)]


def refused(name: str, split: str, data_dir: Path | None, **options: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(name, split, data_dir, **options)
    return caught.value


@pytest.mark.parametrize("column", ["img", "image"])
@pytest.mark.parametrize("folder", ["", "cifar10", "plain_text", "cifar10/plain_text", "data"])
def test_the_pictures_of_every_layout(
    tmp_path: Path, pictures: list[np.ndarray], labels: list[int], column: str, folder: str
) -> None:
    write(tmp_path / folder / "test-00000-of-00001.parquet", pictures, labels, column)
    images, classes = load("cifar10", "test", tmp_path, preparation=PLAIN)
    assert images.dtype == np.float32
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(images, np.stack(pictures).transpose(0, 3, 1, 2) / np.float32(255))
    np.testing.assert_array_equal(classes, labels)


def test_the_data_sets_own_normalisation(tmp_path: Path, pictures: list[np.ndarray], labels: list[int]) -> None:
    write(tmp_path / "test.parquet", pictures, labels)
    images, _ = load("cifar10", "test", tmp_path)
    assert images[0, 0, 0, 0] == pytest.approx((pictures[0][0, 0, 0] / 255 - 0.4914) / 0.2470, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 100])
@pytest.mark.parametrize("limit", [None, 1, 7, 10, 23, 50])
def test_batches_of_several_files_in_order(
    tmp_path: Path, pictures: list[np.ndarray], labels: list[int], batch_size: int, limit: int | None
) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", pictures[:15], labels[:15], row_group_size=4)
    write(tmp_path / "train-00001-of-00002.parquet", pictures[15:], labels[15:])
    batches = list(stream("cifar10", "train", tmp_path, batch_size=batch_size, limit=limit, preparation=PLAIN))
    assert all(0 < len(images) == len(classes) <= batch_size for images, classes in batches)
    np.testing.assert_array_equal(np.concatenate([classes for _, classes in batches]), labels[:limit])
    expected = np.stack(pictures[:limit]).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), expected)


def test_only_what_is_asked_for_is_decoded(tmp_path: Path, pictures: list[np.ndarray], labels: list[int]) -> None:
    write(tmp_path / "test.parquet", pictures, labels)
    table = parquet.read_table(tmp_path / "test.parquet").to_pydict()
    table["img"][20]["bytes"] = b"no picture"
    parquet.write_table(arrow.table(table), tmp_path / "test.parquet")
    assert len(load("cifar10", "test", tmp_path, limit=7)[0]) == 7
    batches = stream("cifar10", "test", tmp_path, batch_size=10)
    assert len(next(batches)[0]) == 10
    error = refused("cifar10", "test", tmp_path)
    assert error.what == "a picture cannot be decoded"
    assert error.where == f"{tmp_path / 'test.parquet'}, row 20"


def test_digits_are_split_by_seed_into_three_quarters_and_one() -> None:
    pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')
    images, classes = load("digits", "train")
    held_out, held_out_classes = load("digits", "test")
    assert (images.shape, held_out.shape) == ((1348, 1, 8, 8), (449, 1, 8, 8))
    assert (images.min(), images.max(), images.dtype) == (0.0, 1.0, np.float32)
    everything = np.concatenate([images, held_out]).reshape(1797, 64)
    original = pytest.importorskip("sklearn.datasets").load_digits()
    assert sorted(map(tuple, everything * 16)) == sorted(map(tuple, original.data))
    assert sorted([*classes, *held_out_classes]) == sorted(original.target)
    np.testing.assert_array_equal(digits("test", seed=0)[0], held_out)
    assert not np.array_equal(digits("test", seed=1)[0], held_out)


def test_digits_in_batches() -> None:
    pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')
    batches = list(stream("digits", "test", batch_size=200, limit=300))
    assert [len(images) for images, _ in batches] == [200, 100]


def test_unknown_names(tmp_path: Path) -> None:
    assert str(refused("cifar", "test", tmp_path)) == (
        "there is no data set 'cifar'\n"
        "  why  the data sets are digits, mnist, cifar10, imagenet\n"
        "  fix  did you mean 'cifar10'?"
    )
    assert refused("cifar10", "validation", tmp_path).what == "data set 'cifar10' has no split 'validation'"
    assert refused("digits", "test", None, limit=0).what == "the limit is 0"


def test_missing_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path / "cache"))
    assert str(refused("cifar10", "test", None)) == (
        f"data set 'cifar10' needs a data folder\n  at   {tmp_path / 'cache' / 'data' / 'cifar10'}\n"
        "  why  its pictures are not part of arithmos, and the cache has none\n"
        "  fix  give --data-dir, a folder with them, or fetch them: arithmos data show cifar10 --download"
    )
    assert refused("imagenet", "test", None).fix == "give --data-dir, a folder with them"
    assert str(refused("cifar10", "test", tmp_path / "no")) == (
        f"there is no such data folder\n  at   {tmp_path / 'no'}\n"
        "  why  the pictures of 'cifar10' are read from it\n  fix  check --data-dir"
    )
    (tmp_path / "file").touch()
    assert refused("cifar10", "test", tmp_path / "file").what == "the data folder is not a folder"


def test_the_cache_is_read_where_no_folder_is_given(
    tmp_path: Path, pictures: list[np.ndarray], labels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    write(tmp_path / "data" / "cifar10" / "test.parquet", pictures, labels)
    assert len(load("cifar10", "test")[0]) == 23


def test_problems_show_before_the_first_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        stream("cifar10", "test", tmp_path)


def test_missing_shards(tmp_path: Path, pictures: list[np.ndarray], labels: list[int]) -> None:
    for k in (0, 2):
        write(tmp_path / f"train-{k:05d}-of-00004.parquet", pictures, labels)
    error = refused("cifar10", "train", tmp_path)
    assert error.what == "the split is incomplete: 2 of 4 files"
    assert error.why == "missing: 00001-of-00004, 00003-of-00004"
    write(tmp_path / "train-00001-of-00002.parquet", pictures, labels)
    assert refused("cifar10", "train", tmp_path).why == "they are numbered of 2 and of 4"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_parquet(tmp_path: Path, pictures: list[np.ndarray], labels: list[int], share: float) -> None:
    file = tmp_path / "test.parquet"
    write(file, pictures, labels)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    error = refused("cifar10", "test", tmp_path)
    assert error.what == "the Parquet file cannot be read"
    assert error.where == str(file)
    assert error.why.startswith("it is cut off or is not Parquet: ")


def test_other_columns(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"text": ["a"], "label": [1]}), tmp_path / "test.parquet")
    assert refused("cifar10", "test", tmp_path).what == "the columns are text, label"


def test_pictures_stored_elsewhere(tmp_path: Path) -> None:
    rows = [{"bytes": None, "path": "a.png"}]
    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    table = arrow.table({"img": arrow.array(rows, struct), "label": [1]})
    parquet.write_table(table, tmp_path / "test.parquet")
    assert refused("cifar10", "test", tmp_path).what == "a row holds no picture"


def test_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", [], [])
    assert refused("cifar10", "test", tmp_path).what == "split 'test' of data set 'cifar10' has no pictures"


def test_another_data_set(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write(tmp_path / "test.parquet", [picture[:28, :28] for picture in pictures], [1] * 23)
    error = refused("cifar10", "test", tmp_path)
    assert error.what == "the pictures are not those of this data set"
    assert (error.where, error.why) == (
        f"{tmp_path / 'test.parquet'}, row 0",
        "they have 28x28 pixels and not 32x32",
    )


def test_real_cifar10(data_dir: Path) -> None:
    images, classes = load("cifar10", "test", data_dir)
    assert images.shape == (500, 3, 32, 32)
    assert list(classes[:10]) == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]  # the official order of the test set
    assert abs(float(images.mean())) < 0.1


def test_real_imagenet(data_dir: Path) -> None:
    images, classes = load("imagenet", "test", data_dir, limit=20)
    assert images.shape == (20, 3, 224, 224)
    assert list(classes) == list(range(0, 80, 4))
    assert 0.7 < float(images.std()) < 1.4


@pytest.mark.parametrize("name", DATASETS)
def test_the_table_is_consistent(name: str) -> None:
    dataset = DATASETS[name]
    assert set(dataset.splits) == {"train", "test"}
    assert dataset.preparation.crop in (0, dataset.size)
    assert len(dataset.preparation.mean) == len(dataset.preparation.std)
    assert len(dataset.preparation.mean) in (1, dataset.preparation.channels)
