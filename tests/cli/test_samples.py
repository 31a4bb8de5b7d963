"""Samples for calibration and for the accuracy: as many as asked for, and never the same ones for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arithmos.cli.samples import as_real, first, from_dataset, from_file
from arithmos.ir.border import admit
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph
from arithmos.ir.interval import Interval
from arithmos.ir.scale import PowerOfTwo
from arithmos.train.data.digits import digits

pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')


def test_calibration_comes_from_the_training_split() -> None:
    found = from_dataset("digits", None, None, n=50, n_labelled=60, batch_size=32)
    assert [len(batch) for batch in found.calibration] == [32, 18]
    assert np.array_equal(np.concatenate(found.calibration), digits("train")[0][:50])
    labelled = list(found.labelled)
    images, labels = digits("test")
    assert np.array_equal(np.concatenate([batch for batch, _ in labelled]), images[:60])
    assert np.array_equal(np.concatenate([truth for _, truth in labelled]), labels[:60])
    assert found.origin["evaluated_on"] == "digits, test split"


@pytest.mark.parametrize("n", [7, 32, 40])
def test_images_of_one_split_are_used_once(n: int) -> None:
    found = from_dataset("digits", None, None, n=n, n_labelled=10_000, batch_size=32, split="test")
    images, _ = digits("test")
    assert np.array_equal(np.concatenate(found.calibration), images[:n])
    assert np.array_equal(np.concatenate([batch for batch, _ in found.labelled]), images[n:])
    assert found.origin["evaluated_on"] == f"digits, test split, without the {n} for calibration"


def test_no_labels_on_request() -> None:
    found = from_dataset("digits", None, None, n=5, n_labelled=0, batch_size=32)
    assert list(found.labelled) == [] and "evaluated_on" not in found.origin


def test_arrays_of_a_file_are_cut_into_batches(tmp_path: Path) -> None:
    a, b = np.arange(20).reshape(10, 2), np.arange(10)
    np.savez(tmp_path / "two.npz", a=a, b=b)
    found = from_file(tmp_path / "two.npz", None, n=7, batch_size=3)
    assert [len(batch["a"]) for batch in found.calibration] == [3, 3, 1]
    assert np.array_equal(np.concatenate([batch["b"] for batch in found.calibration]), b[:7])
    assert found.origin == {"calibration": "7 samples of two.npz"}
    two = first(found.calibration, 2)
    assert isinstance(two, dict) and np.array_equal(two["a"], a[:2])


def small() -> Graph:
    """A picture x with a grid of step 1/4 and token ids without one."""
    builder = Builder("int")
    builder.input("x", (-1, 2), Interval(-8, 7), PowerOfTwo(-2))
    builder.input("ids", (-1, 2), Interval(0, 9))
    return builder.graph("x", "ids")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float32])
def test_integers_in_a_file_are_real_numbers_throughout(dtype: type) -> None:
    arrays = {"x": np.asarray([[0, 1]], dtype), "ids": np.asarray([[3, 9]])}
    found = as_real(small(), arrays)
    assert (found["x"].dtype, found["ids"].dtype) == (np.float32, np.int64)
    admitted = admit(small(), found)
    assert admitted["x"].tolist() == [[0, 4]]  # 1.0 is four steps; as an integer of the grid it would be one
    assert admitted["ids"].tolist() == [[3, 9]]
