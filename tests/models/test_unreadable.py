"""A file that holds no weights is called what it is."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from arithmos.errors import UsageError

torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")

from arithmos.models.weights import read_tensors  # noqa: E402


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


def saved(content: Any, **options: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


STATE = {"w": torch.zeros(300)}
FILES = {
    "empty": (b"", "it is empty"),
    "gzip": (gzip.compress(saved(STATE)), "it is compressed by gzip: unpack it"),
    "page": (b"\n<!DOCTYPE html>", "it is a web page or XML: perhaps the page that leads to the file"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1",
        "it is a pointer of Git LFS: fetch the file itself with `git lfs pull`",
    ),
    "text": (b"hello", "it is no pickle of tensors"),
    "pickle": (pickle.dumps({"w": b"x" * 99}, protocol=2), "it is a pickle that torch.save did not write"),
    "zip": (zipped("a.txt"), "it is a zip archive of other files"),
    "program": (
        zipped("net/models/model.json"),
        "it is an exported program: give it as --model, with the suffix .pt2, and no WEIGHTS",
    ),
    "script": (
        zipped("net/data.pkl", "net/constants.pkl"),
        "it is a TorchScript archive: save the state dict of the Python module",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is_instead(name: str, tmp_path: Path) -> None:
    content, why = FILES[name]
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_tensors(file)
    assert str(caught.value) == (
        "the file is not a torch.save file, or it is cut off\n"
        f"  at   {file} ({len(content):,} bytes)\n"
        f"  why  {why}\n"
        "  fix  fetch it again and compare its size with the original"
    )


@pytest.mark.parametrize("new", [True, False])
def test_torchs_advice_to_execute_the_file_is_never_repeated(new: bool, tmp_path: Path) -> None:
    content, file = saved(STATE, _use_new_zipfile_serialization=new), tmp_path / "weights.pt"
    for size in range(0, len(content), 97):
        file.write_bytes(content[:size])
        with pytest.raises(UsageError) as caught:
            read_tensors(file)
        assert "weights_only" not in str(caught.value) and "web page" not in str(caught.value)
        assert "did not write" not in str(caught.value) or size < 16
