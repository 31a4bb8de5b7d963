"""Arrays of a run in a file and in print, whatever their names and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from arithmos.cli.arrays import WRITERS, as_text, check_writable
from arithmos.errors import UsageError

ARRAYS = {"file": np.arange(3), "allow_pickle": np.ones((2, 2)), "a.0": np.int8(5), "none": np.zeros((0, 3), np.int16)}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_every_name_comes_back(suffix: str, tmp_path: Path) -> None:
    arrays = {name: np.asarray(array) for name, array in ARRAYS.items()}
    WRITERS[suffix](tmp_path / f"a{suffix}", arrays)
    stored = dict(np.load(tmp_path / "a.npz")) if suffix == ".npz" else load_file(tmp_path / "a.safetensors")
    assert stored.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(stored[name], array) and stored[name].dtype == array.dtype


def test_few_numbers_are_printed_and_many_are_summed_up() -> None:
    assert as_text({"y": np.array([[1, -2], [3, 4]])}) == "1 -2\n3 4"
    assert as_text({"y": np.array(7)}) == "7"
    assert as_text({"y": np.array([0.5, 0.25])}) == "0.5\n0.25"
    assert as_text({"y": np.array([[1, 5]], np.int8), "none": np.zeros((0, 3), np.int16)}).splitlines() == [
        "value  shape   type   min  max",
        "y      (1, 2)  int8   1    5",
        "none   (0, 3)  int16",
    ]


@pytest.mark.parametrize(("name", "several"), [("y.txt", False), ("y", False), ("y.npy", True)])
def test_what_is_not_written(name: str, several: bool) -> None:
    with pytest.raises(UsageError) as caught:
        check_writable(Path(name), several=several)
    assert str(caught.value) == (
        f"cannot write {'several values' if several else 'arrays'} to {name}\n"
        "  why  known are .npy, .npz, .safetensors; .npy holds one array\n"
        "  fix  name a .safetensors or .npz file"
    )
    check_writable(None, several=True)
    check_writable(Path("y.npz"), several=True)
