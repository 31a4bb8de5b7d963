"""The user's own inputs: arrays unchanged, pictures prepared, everything else refused with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from arithmos.errors import UsageError
from arithmos.train.data.array import load_array
from arithmos.train.data.preparation import Preparation


def refused(file: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_array(file)
    return caught.value


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int8, np.int64, bool])
def test_arrays_come_back_as_they_are(tmp_path: Path, dtype: type) -> None:
    array = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", images=array)
    save_file({"images": array}, tmp_path / "x.safetensors")
    for file in ("x.npy", "x.npz", "x.safetensors"):
        found = load_array(tmp_path / file)
        assert isinstance(found, np.ndarray)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, array)


def test_several_arrays_come_by_name(tmp_path: Path) -> None:
    arrays = {"ids": np.arange(3), "mask": np.ones((3, 2))}
    np.savez(tmp_path / "x.npz", **arrays)
    save_file(arrays, tmp_path / "x.safetensors")
    for file in ("x.npz", "x.safetensors"):
        found = load_array(tmp_path / file)
        assert isinstance(found, dict)
        assert set(found) == {"ids", "mask"}
        np.testing.assert_array_equal(found["ids"], arrays["ids"])


@pytest.mark.parametrize("name", ["x.png", "x.PNG"])
def test_pictures_are_prepared(tmp_path: Path, name: str) -> None:
    image_module = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    image_module.fromarray(pixels).save(tmp_path / name, "png")
    found = load_array(tmp_path / name)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1)[np.newaxis] / np.float32(255))
    prepared = load_array(tmp_path / name, Preparation(channels=1, crop=4, mean=(0.5,), std=(0.5,)))
    assert isinstance(prepared, np.ndarray)
    assert prepared.shape == (1, 1, 4, 4)
    assert prepared.min() < 0


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    assert str(refused(tmp_path / "x.npy")) == (
        f"there is no such input file\n  at   {tmp_path / 'x.npy'}\n"
        "  why  the network's inputs are read from it\n  fix  check the path"
    )
    (tmp_path / "d.npy").mkdir()
    assert refused(tmp_path / "d.npy").what == "the input file is not a file"
    assert str(refused(tmp_path / "x.csv")) == (
        f"inputs cannot be read from '.csv' files\n  at   {tmp_path / 'x.csv'}\n"
        "  why  known are .npy, .npz, .safetensors, .png, .jpg, .jpeg\n  fix  save the array with numpy.save"
    )


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, suffix: str, share: float) -> None:
    array, file = np.arange(1000), tmp_path / f"x{suffix}"
    {".npy": np.save, ".npz": np.savez, ".safetensors": lambda f, a: save_file({"a": a}, f)}[suffix](file, array)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    error = refused(file)
    assert error.what == f"the {suffix} file cannot be read"
    assert error.why.startswith("it is cut off, damaged, or holds Python objects: ")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncated_pictures(tmp_path: Path, share: float) -> None:
    image_module = pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')
    file = tmp_path / "x.png"
    image_module.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert refused(file).what == "the .png file cannot be read"


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asarray([{"a": 1}, None]), allow_pickle=True)
    assert "Object arrays cannot be loaded" in refused(tmp_path / "x.npy").why


def test_what_is_no_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", names=np.asarray(["a", "b"]), none=np.zeros((0, 3)), waves=np.zeros(2, complex))
    assert (
        refused(tmp_path / "x.npz").why
        == "not numbers: names: <U1; not numbers: waves: complex128; empty: none: shape (0, 3)"
    )
    np.savez(tmp_path / "y.npz")
    assert refused(tmp_path / "y.npz").why == "it holds no array"
