"""`arithmos data show`: counts, layout and digest in words and as JSON, the picture, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import Result

from arithmos.cli import download as download_module
from picture_files import encoded, pixels, write_idx, write_parquet, write_tree

pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')
pytest.importorskip("PIL.Image", reason='pip install "arithmos[data]"')
pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

Arithmos = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "data" / "train.parquet", [encoded(p) for p in pixels(12)], [*range(10), 3, 3])
    return tmp_path / "data"


def test_what_it_says(arithmos: Arithmos, folder: Path) -> None:
    result = arithmos("data", "show", "cifar10", "--data-dir", folder)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[:3] == [
        "data set cifar10, train split",
        f"layout   Parquet, {folder}",
        "pictures 12 of 10 classes (of 10), 1 to 3 a class",
    ]
    assert lines[3].startswith("digest   pixels:")
    assert lines[4].split() == ["class", "name", "pictures"]
    assert lines[8].split() == ["3", "cat", "3"]


def test_it_draws(arithmos: Arithmos, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    out = tmp_path / "grid.png"
    call = ("data", "show", "cifar10", "--data-dir", folder, "-o", out, "--augment", "--n", "20")
    result = arithmos(*call)
    assert result.exit_code == 0 and result.output.endswith(f"wrote    {out}\n")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert arithmos(*call).exit_code == 2
    assert arithmos(*call, "--force").exit_code == 0


def test_json_of_a_large_data_set(arithmos: Arithmos, tmp_path: Path) -> None:
    (tmp_path / "synsets.txt").write_text("".join(f"n{k:08d}\n" for k in range(1000)))
    whole = [encoded(picture, "jpeg") for picture in pixels(4, 40)]
    write_tree(tmp_path / "val", [*whole[:3], whole[3][:200]], ["n00000005"] * 2 + ["n00000009"] * 2, ".JPEG")
    call = ("data", "show", "imagenet", "--split", "test", "--data-dir", tmp_path, "--json")
    document = json.loads(arithmos(*call).output)
    assert (document["layout"], document["n_images"], document["skipped"]) == ("folder tree", 4, 0)
    assert document["digest"].startswith("files:")
    result = arithmos(*call, "--decode")
    assert result.exit_code == 2
    assert f"at   {tmp_path / 'val' / 'n00000009' / '0003.JPEG'}" in result.output
    document = json.loads(arithmos(*call, "--decode", "--skip-corrupt").output)
    assert document["corrupt"] == [f"{tmp_path / 'val' / 'n00000009' / '0003.JPEG'}: a picture cannot be decoded"]


def test_what_is_refused(arithmos: Arithmos, folder: Path) -> None:
    for arguments, text in (
        (("data", "show", "cifar"), "error: there is no data set 'cifar'"),
        (("data", "show", "cifar10", "--data-dir", folder, "--split", "test"), "no pictures of split 'test'"),
        (("data", "show", "imagenet", "--download"), "data set 'imagenet' cannot be fetched"),
        (("data", "show", "digits", "--download"), "its pictures are part of scikit-learn"),
        (("data", "draw", "cifar10"), "No such command 'draw'"),
    ):
        result = arithmos(*arguments)
        assert result.exit_code == 2, result.output
        assert text in result.output


def test_offline_it_says_what_to_fetch_by_hand(
    arithmos: Arithmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARITHMOS_OFFLINE", "1")
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    result = arithmos("data", "show", "cifar10", "--download")
    assert result.exit_code == 2
    assert result.output == (
        f"error: data set 'cifar10' was not fetched\n  at   {tmp_path / 'data' / 'cifar10'}\n"
        "  why  ARITHMOS_OFFLINE is set: the network is not used\n"
        "  fix  try again, or fetch these by hand and put them, as they are, into the folder above\n"
        "       https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz (170,498,071 bytes, sha256 "
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_download_then_read(arithmos: Arithmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path))
    folders = []

    def fetch(name: str, folder: Path, **_: object) -> list[Path]:
        folders.append((name, folder))
        write_idx(folder / "t10k-images-idx3-ubyte.gz", pixels(5, 28, 1))
        write_idx(folder / "t10k-labels-idx1-ubyte.gz", np.arange(5))
        return []

    monkeypatch.setattr(download_module, "fetch", fetch)
    result = arithmos("data", "show", "mnist", "--split", "test", "--download")
    assert result.exit_code == 0, result.output
    assert folders == [("mnist", tmp_path / "data" / "mnist")]
    assert "pictures 5 of 5 classes (of 10), 0 to 1 a class" in result.output


def test_an_interrupt_says_what_is_kept(arithmos: Arithmos, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, **__: object) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "fetch", fetch)
    result = arithmos("data", "show", "mnist", "--download")
    assert result.exit_code == 130
    assert result.output.strip() == "interrupted; what was fetched is kept, and the same command goes on"


def test_the_bar_counts_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    with click.Context(click.Command("data")) as context:
        context.meta["arithmos.verbosity"] = "verbose"
        with download_module._bar("file.bin", 250, 1000) as advance:
            advance(750)
    shown = capsys.readouterr().err
    assert "file.bin" in shown and "1.0/1.0 kB" in shown
