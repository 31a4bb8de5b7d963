"""What a split holds, and which of its pictures are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arithmos.train.data.loader import loader
from arithmos.train.data.survey import pictures, rows_to_show, survey
from picture_files import encoded, pixels, write_parquet

pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')


def test_counts_classes_and_corrupt_pictures(tmp_path: Path) -> None:
    rows = [encoded(picture) for picture in pixels(6)]
    write_parquet(tmp_path / "train.parquet", [*rows[:5], rows[5][:40]], [3, 3, 0, 9, 3, 1])
    found = survey("cifar10", "train", loader("cifar10", "train", tmp_path, batch_size=4, skip_corrupt=True))
    assert (found.layout, found.where, found.n_images) == ("Parquet", tmp_path, 6)
    assert found.counts == (1, 1, 0, 3, 0, 0, 0, 0, 0, 1)
    assert found.classes[3] == "cat"
    assert found.corrupt == (f"{tmp_path / 'train.parquet'}, row 5: a picture cannot be decoded",)
    assert found.digest.startswith("pixels:")


def test_few_classes_are_shown_one_after_the_other() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 500)
    rows = rows_to_show(labels, 10, 40, seed=0)
    assert labels[rows].tolist() == [k for k in range(10) for _ in range(4)]
    assert len(set(rows)) == 40
    assert not np.array_equal(rows, rows_to_show(labels, 10, 40, seed=1))
    assert rows_to_show(np.asarray([4, 4, 7]), 10, 40, seed=0).tolist() in ([0, 1, 2], [1, 0, 2])


def test_of_many_classes_any_are_shown() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, 500)
    rows = rows_to_show(labels, 1000, 40, seed=0)
    assert len(set(rows)) == 40
    assert labels[rows].tolist() == sorted(labels[rows])


def test_pictures_are_shown_in_their_colours(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [encoded(picture) for picture in pixels(6)], range(6))
    data = loader("cifar10", "train", tmp_path, batch_size=4)
    images, labels = pictures(data, np.asarray([4, 2]), augment=False, seed=0)
    assert labels.tolist() == [4, 2]
    np.testing.assert_array_equal(images, pixels(6)[[4, 2]].transpose(0, 3, 1, 2) / np.float32(255))
    shifted, _ = pictures(data, np.asarray([4, 2]), augment=True, seed=0)
    assert not np.array_equal(images, shifted) and shifted.min() >= 0
