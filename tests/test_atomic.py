"""Outputs are whole or absent: after errors, a full disk, an interruption, and beside what was there before."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arithmos import atomic
from arithmos.atomic import MARKER, expect, output_dir, output_file, scratch_dir
from arithmos.errors import UsageError

Output = Callable[..., AbstractContextManager[Path]]


def tree(folder: Path) -> dict[str, str]:
    """Every file below, by its path, and every directory as an empty text."""
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else "" for p in sorted(folder.rglob("*"))}


def write(output: Output, path: Path, text: str, **options: bool) -> None:
    with output(path, **options) as draft:
        (draft / "a" if draft.is_dir() else draft).write_text(text)


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with output_dir(tmp_path / "new" / "out") as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "a").write_text("1")
        assert draft.parent.parent == tmp_path / "new", "it is written beside its place"
        assert not (tmp_path / "new" / "out").exists()
    assert tree(tmp_path) == {
        "new": "",
        "new/out": "",
        f"new/out/{MARKER}": "sub/a\n",
        "new/out/sub": "",
        "new/out/sub/a": "1",
    }


def test_a_file_appears_whole(tmp_path: Path) -> None:
    with output_file(tmp_path / "new" / "out.npz") as draft:
        assert draft.name == "out.npz", "libraries choose the format by the name"
        np.savez(draft, a=np.arange(3))
        assert not (tmp_path / "new" / "out.npz").exists()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.npz"]
    assert np.load(tmp_path / "new" / "out.npz")["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("output", [output_dir, output_file])
def test_outputs_have_the_permissions_of_any_other(output: Output, tmp_path: Path) -> None:
    write(output, tmp_path / "out", "1")
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    like = tmp_path / ("dir" if output is output_dir else "file")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE(like.stat().st_mode)


@pytest.mark.parametrize(("output", "kind"), [(output_dir, "directory"), (output_file, "file")])
def test_what_exists_is_refused_before_any_work(
    output: Output, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(output, Path("out"), "old")
    before = tree(tmp_path)
    with pytest.raises(UsageError) as caught, output(Path("out")):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "out exists\n"
        f"  why  a {kind} is replaced only on request\n"
        f"  fix  give --force (in Python: force=True) to replace it, or name another {kind}"
    )
    assert tree(tmp_path) == before


@pytest.mark.parametrize("output", [output_dir, output_file])
def test_force_replaces_and_leaves_nothing_else(output: Output, tmp_path: Path) -> None:
    with output(tmp_path / "out") as draft:
        (draft / "b" if draft.is_dir() else draft).write_text("old")
    write(output, tmp_path / "out", "new", force=True)
    expected = {"out": "", f"out/{MARKER}": "a\n", "out/a": "new"} if output is output_dir else {"out": "new"}
    assert tree(tmp_path) == expected


@pytest.mark.parametrize("output", [output_dir, output_file])
def test_force_writes_what_was_not_there(output: Output, tmp_path: Path) -> None:
    write(output, tmp_path / "out", "new", force=True)
    assert (tmp_path / "out").exists()


def test_who_reads_the_old_file_reads_it_to_the_end(tmp_path: Path) -> None:
    write(output_file, tmp_path / "out", "old")
    with (tmp_path / "out").open() as reader:
        write(output_file, tmp_path / "out", "new", force=True)
        assert reader.read() == "old"


def test_force_takes_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(output_dir, tmp_path / "out", "new", force=True)
    assert tree(tmp_path / "out") == {MARKER: "a\n", "a": "new"}


def test_force_spares_what_arithmos_did_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_text("a cat")
    with pytest.raises(UsageError) as caught, output_dir("photos", force=True):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "photos was not written by arithmos\n"
        "  why  --force replaces only an empty directory or one that holds the file .arithmos\n"
        "  fix  name another directory, or remove this one yourself"
    )
    assert tree(tmp_path) == {"photos": "", "photos/cat.jpg": "a cat"}


def test_force_deletes_no_file_that_others_put_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(output_dir, out, "old")
    (out / "sub").mkdir()
    (out / "sub" / "notes.txt").write_text("mine")
    (out / "photos").symlink_to(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(UsageError) as caught, output_dir(out, force=True):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        f"{out} holds 2 files that --force would delete\n"
        f"  at   {out}\n"
        "  why  not in .arithmos, the list of what arithmos wrote there:\n"
        "       photos\n"
        "       sub/notes.txt\n"
        "  fix  move or delete them yourself, or name another directory"
    )
    assert {path: path.lstat().st_mtime_ns for path in out.rglob("*")} == before
    (out / "sub" / "notes.txt").unlink()
    (out / "photos").unlink()
    write(output_dir, out, "new", force=True)  # an empty folder is no loss
    assert tree(out) == {MARKER: "a\n", "a": "new"}


def test_a_file_that_others_put_there_meanwhile_is_kept(tmp_path: Path) -> None:
    write(output_dir, tmp_path / "out", "old")
    with (
        pytest.raises(UsageError, match="holds 1 file that --force"),
        output_dir(tmp_path / "out", force=True) as draft,
    ):
        (draft / "a").write_text("new")
        (tmp_path / "out" / "notes").write_text("mine")
    assert tree(tmp_path / "out") == {MARKER: "a\n", "a": "old", "notes": "mine"}


def test_many_foreign_files_are_counted(tmp_path: Path) -> None:
    write(output_dir, tmp_path / "out", "old")
    for i in range(10):
        (tmp_path / "out" / f"b{i}").touch()
    with pytest.raises(UsageError) as caught, output_dir(tmp_path / "out", force=True):
        pytest.fail("the block must not run")
    assert caught.value.what.endswith("holds 10 files that --force would delete")
    assert caught.value.why.splitlines()[-2:] == ["b7", "and 2 more"]


@pytest.mark.parametrize("replaced", ["out", "out/inner"])
def test_what_is_expected_later_is_no_foreign_file(replaced: str, tmp_path: Path) -> None:
    with output_dir(tmp_path / "out") as outer, output_dir(outer / "inner") as inner:
        expect(inner, ["program", "log/"])
    (tmp_path / "out" / "inner" / "program").write_text("built")
    (tmp_path / "out" / "inner" / "log").mkdir()
    (tmp_path / "out" / "inner" / "log" / "of today").touch()
    write(output_dir, tmp_path / replaced, "new", force=True)
    write(output_dir, tmp_path / "out", "new", force=True)  # the inner file is not in its list, but in the inner one
    assert tree(tmp_path / "out") == {MARKER: "a\n", "a": "new"}


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_no_directory_and_a_directory_no_file(
    force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dir").mkdir()
    with pytest.raises(UsageError) as caught, output_dir("file", force=force):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "file is a file\n  why  a directory is to be written there\n  fix  name a directory that does not exist yet"
    )
    with pytest.raises(UsageError) as caught, output_file("dir", force=force):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "dir is not a regular file\n  why  a file is to be written there\n  fix  name a file that does not exist yet"
    )


@pytest.mark.parametrize("output", [output_dir, output_file])
def test_a_link_is_followed(output: Output, tmp_path: Path) -> None:
    write(output, tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    write(output, tmp_path / "link", "new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert "new" in tree(tmp_path).values()
    assert "old" not in tree(tmp_path).values()


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), ValueError("a defect"), UsageError("a", why="b", fix="c")])
@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("output", [output_dir, output_file])
def test_any_exception_leaves_everything_as_it_was(
    output: Output, existed: bool, problem: BaseException, tmp_path: Path
) -> None:
    if existed:
        write(output, tmp_path / "deep" / "out", "old")
    before = tree(tmp_path)
    with pytest.raises(type(problem)) as caught, output(tmp_path / "deep" / "out", force=True) as draft:
        (draft / "a" if draft.is_dir() else draft).write_text("half")
        raise problem
    assert caught.value is problem
    assert tree(tmp_path) == before


@settings(max_examples=25)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text("xyz"), max_size=4), st.integers(0, 4))
def test_all_files_or_none(files: dict[str, str], fail_after: int) -> None:
    with TemporaryDirectory() as temporary, scratch_dir(Path(temporary)) as room:
        try:
            with output_dir(room / "out") as draft:
                for i, (name, text) in enumerate(files.items()):
                    if i == fail_after:
                        raise KeyboardInterrupt
                    (draft / name).write_text(text)
        except KeyboardInterrupt:
            assert tree(room) == {}
        else:
            assert tree(room / "out") == {MARKER: "".join(f"{name}\n" for name in sorted(files)), **files}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.ENOSPC, "no space left on device"),
        (errno.EDQUOT, "disk quota exceeded"),
        (errno.EFBIG, "file too large"),
    ],
)
@pytest.mark.parametrize("output", [output_dir, output_file])
def test_a_full_disk_in_the_block(output: Output, code: int, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught, output(tmp_path / "deep" / "out") as draft:
        raise OSError(code, os.strerror(code), str(draft))
    assert str(caught.value) == (
        "cannot write out\n"
        f"  at   {tmp_path / 'deep' / 'out'}\n"
        f"  why  {why}; nothing was left behind\n"
        "  fix  free some space, or choose another place"
    )
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("100000 requested and 4096 written"),
    ],
    ids=["rust", "numpy"],
)
def test_a_full_disk_as_libraries_report_it(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no space left on device; nothing was left behind"),
        output_dir(tmp_path / "out"),
    ):
        raise error
    assert tree(tmp_path) == {}


def test_a_full_disk_in_an_output_inside_another_names_the_outer_one(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError) as caught,
        output_dir(tmp_path / "out") as outer,
        output_dir(outer, force=True) as inner,
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(inner))
    assert str(caught.value).startswith(f"cannot write out\n  at   {tmp_path / 'out'}\n  why  no space left on device;")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("function", ["fsync", "rename"])
def test_a_full_disk_at_the_end(function: str, existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if existed:
        write(output_dir, tmp_path / "out", "old")
    before = tree(tmp_path)
    real: Callable[..., None] = getattr(os, function)

    def full(*arguments: object) -> None:
        if function == "rename" and Path(str(arguments[0])).name != "new":
            return real(*arguments)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, function, full)
    with pytest.raises(UsageError, match="no space left on device"):
        write(output_dir, tmp_path / "out", "new", force=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("renamed", [False, True])
def test_an_interruption_between_the_two_renames_brings_the_old_one_back(
    renamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(output_dir, tmp_path / "out", "old")
    before = tree(tmp_path)
    real = os.rename

    def interrupted(source: Path, target: Path) -> None:
        if target.name == "old" and renamed:
            real(source, target)
        if target.name == "old":
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(atomic.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(output_dir, tmp_path / "out", "new", force=True)
    assert tree(tmp_path) == before


def test_who_comes_second_does_not_overwrite_the_first(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="out exists"), output_dir(tmp_path / "out"):
        write(output_dir, tmp_path / "out", "first")
    assert tree(tmp_path) == {"out": "", f"out/{MARKER}": "a\n", "out/a": "first"}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught, output_dir(tmp_path / "file" / "out"):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "cannot write out\n"
        f"  at   {tmp_path / 'file' / 'out'}\n"
        "  why  not a directory; nothing was left behind\n"
        "  fix  choose another place"
    )


def test_errors_about_other_files_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), output_dir(tmp_path / "out"):
        (tmp_path / "input.npy").read_bytes()
    assert tree(tmp_path) == {}


LIMITED = """
import resource, sys
import numpy as np, safetensors.numpy
from arithmos.atomic import output_dir
from arithmos.errors import UsageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
array = np.zeros(100_000, np.uint8)
for write in (
    lambda d: safetensors.numpy.save_file({"a": array}, d / "a"),
    lambda d: np.savez(d / "a", a=array),
    lambda d: np.save(d / "a", array),
    lambda d: (d / "a").write_bytes(array),
):
    try:
        with output_dir(sys.argv[1]) as draft:
            write(draft)
    except UsageError as error:
        print(error.why)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a system that limits file sizes")
def test_real_libraries_at_a_real_limit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        "file too large",
        "file too large",
        "no space left on device",  # numpy says how much it wrote, not why it stopped
        "file too large",
    ]
    assert tree(tmp_path) == {}


def test_ctrl_c_in_a_real_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from arithmos.atomic import output_dir\n"
        "with output_dir(sys.argv[1]) as draft:\n"
        "    (draft / 'a').write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "deep" / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert tree(tmp_path) != {}
        child.send_signal(2)
        child.wait(timeout=30)
    assert tree(tmp_path) == {}
