"""Outputs that exist whole or not at all: written beside the target, synced to the disk, renamed into place.

A directory that arithmos writes holds the file `.arithmos`: a list of every file written, one path a line; a line that
ends in / stands for all that is in a folder. `force` replaces a directory only if it is empty or holds nothing but
these, so that no slip of `--out` can delete a home directory, a source tree, or notes that somebody keeps in a bundle.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from arithmos.errors import UsageError

MARKER = ".arithmos"
_SCRATCH = ".arithmos-"
_SHOWN = 8
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def output_dir(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """An empty directory to write into, which becomes `path` when the block ends; any exception leaves `path` alone.

    Missing parents are made. An existing `path` is replaced with `force`, and is there until the new one is complete.
    Raises UsageError before the block runs if `path` exists (with force: if it is not a directory arithmos wrote, or
    holds other files too), and if the disk is full or the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    _admit_dir(target, Path(path), force)
    with room_for(target) as room:
        draft, old = room / "new", room / "old"
        draft.mkdir()
        yield draft
        expect(draft, _files(draft))
        _sync_tree(draft)
        _admit_dir(target, Path(path), force)
        try:
            if target.exists():
                os.rename(target, old)
            os.rename(draft, target)
        finally:
            if old.exists() and not target.exists():
                os.rename(old, target)


def expect(folder: Path, names: Collection[str]) -> None:
    """Add names to the list of a directory's files: what is going to be written or built there later."""
    known = _listed(folder) | set(names)
    (folder / MARKER).write_bytes(b"".join(os.fsencode(name) + b"\n" for name in sorted(known)))


@contextmanager
def output_file(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A path to write a file at, which becomes `path` when the block ends; any exception leaves `path` alone.

    It has the file name of `path`. Missing parents are made. An existing file is replaced with `force`, in one step.
    Raises UsageError before the block runs if `path` exists (with force: if it is not a regular file), and if the disk
    is full or the place cannot be written.
    """
    target = Path(os.path.realpath(path))
    _admit_file(target, Path(path), force)
    with room_for(target) as room:
        draft = room / target.name
        yield draft
        _sync(draft)
        _admit_file(target, Path(path), force)
        os.replace(draft, target)


@contextmanager
def scratch_dir(parent: Path) -> Iterator[Path]:
    """A new empty directory inside `parent`, removed with all it holds when the block ends, however it ends."""
    room = parent / f"{_SCRATCH}{secrets.token_hex(6)}"
    try:
        room.mkdir()
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def remove_scratch(parent: Path) -> None:
    """Remove what a process that was killed while it wrote left in a folder; nobody else may be writing there."""
    for room in parent.glob(f"{_SCRATCH}*"):
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def room_for(target: Path, *, elsewhere: str = "choose another place") -> Iterator[Path]:
    """A scratch directory beside the target, from which a rename to it is one step.

    Missing parents are made, and go again if the block fails. Raises UsageError if the disk is full or the place cannot
    be written; elsewhere: how the user names another one.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        if not (existing := target.parents[len(made)]).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "", str(existing))
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_dir(target.parent) as room:
            yield room
    except BaseException as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if code := _disk_error(_reason(error), target):
            raise UsageError(
                f"cannot write {target.name}",
                where=str(target),
                why=f"{os.strerror(code).lower()}; nothing was left behind",
                fix=f"free some space, or {elsewhere}" if code in _FULL else elsewhere,
            ) from error
        raise


def _reason(error: BaseException) -> BaseException:
    """The reason of an output that was written inside this one: its user knows this one's name alone."""
    inner = isinstance(error, UsageError) and f"/{_SCRATCH}" in error.where
    return (error.__cause__ if inner else None) or error


def _disk_error(error: BaseException, target: Path) -> int:
    """The errno, if the error is about the place we write to and not, say, about an input of the block's; else 0."""
    # Libraries written in Rust (safetensors) give the system's number in the text only; numpy's short writes give none.
    quoted = re.search(r"\(os error (\d+)\)", str(error))
    short = isinstance(error, OSError) and re.search(r"requested and \d+ written", str(error))
    code = int(quoted[1]) if quoted else errno.ENOSPC if short else getattr(error, "errno", None)
    if code in _FULL:
        return int(code)
    if not isinstance(error, OSError) or not isinstance(error.filename, str):
        return 0
    place = Path(error.filename)
    ours = place in (target, *target.parents) or any(part.startswith(_SCRATCH) for part in place.parts)
    return error.errno or 0 if ours else 0


def _admit_dir(target: Path, named: Path, force: bool) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise UsageError(
            f"{named} is a file",
            why="a directory is to be written there",
            fix="name a directory that does not exist yet",
        )
    if not force:
        raise _exists(named, "directory")
    if any(target.iterdir()) and not (target / MARKER).is_file():
        raise UsageError(
            f"{named} was not written by arithmos",
            why=f"--force replaces only an empty directory or one that holds the file {MARKER}",
            fix="name another directory, or remove this one yourself",
        )
    if foreign := sorted(_foreign(target)):
        more = [f"and {len(foreign) - _SHOWN} more"] if len(foreign) > _SHOWN else []
        raise UsageError(
            f"{named} holds {len(foreign)} {'file' if len(foreign) == 1 else 'files'} that --force would delete",
            where=str(target),
            why="\n".join([f"not in {MARKER}, the list of what arithmos wrote there:", *foreign[:_SHOWN], *more]),
            fix="move or delete them yourself, or name another directory",
        )


def _foreign(folder: Path) -> set[str]:
    """The files in a directory that are not in its list, nor in those of directories that arithmos wrote into it."""
    known, files = _listed(folder), _files(folder)
    for name in sorted(files):  # outer lists come before inner ones
        if name in known and Path(name).name == MARKER:
            known |= {f"{Path(name).parent.as_posix()}/{inner}" for inner in _listed(folder / Path(name).parent)}
    return {
        name for name in files - known if not any(f"{parent.as_posix()}/" in known for parent in Path(name).parents)
    }


def _listed(folder: Path) -> set[str]:
    file = folder / MARKER
    return set(os.fsdecode(file.read_bytes()).split("\n")) - {""} if file.is_file() else set()


def _files(folder: Path) -> set[str]:
    """Every file below, links too, by its path; the list at the top excepted."""
    found: set[str] = set()
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]
        found.update(Path(where, name).relative_to(folder).as_posix() for name in (*names, *links))
    return found - {MARKER}


def _admit_file(target: Path, named: Path, force: bool) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise UsageError(
            f"{named} is not a regular file",
            why="a file is to be written there",
            fix="name a file that does not exist yet",
        )
    if not force:
        raise _exists(named, "file")


def _exists(named: Path, kind: str) -> UsageError:
    return UsageError(
        f"{named} exists",
        why=f"a {kind} is replaced only on request",
        fix=f"give --force (in Python: force=True) to replace it, or name another {kind}",
    )


def _sync_tree(folder: Path) -> None:
    for where, _, names in os.walk(folder):
        for name in names:
            _sync(Path(where, name))
        _sync(Path(where))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
