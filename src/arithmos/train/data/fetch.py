"""Fetching a data set: checked by sha256, continued where it broke off; what to fetch by hand where there is no net."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TypeGuard
from urllib.error import URLError
from urllib.request import Request, urlopen

from arithmos import settings
from arithmos.errors import UsageError
from arithmos.train.data.remotes import BY_HAND, REMOTES, Remote

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
_PART = ".part"


Bar = Callable[[str, int, int], AbstractContextManager[Callable[[int], None]]]
"""(file, bytes there, bytes in all) -> a context that gives `advance(n bytes)`."""


@contextmanager
def no_bar(name: str, there: int, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that shows nothing."""
    yield lambda n: None


def fetch(name: str, folder: Path, *, bar: Bar = no_bar, remotes: Sequence[Remote] | None = None) -> list[Path]:
    """The files of data set `name` in `folder`, fetched where they are not there yet; every one has its sha256.

    A file becomes visible under its name only when it is whole and right; one that broke off lies beside it as .part
    and is continued. Raises UsageError for a data set that cannot be fetched, a file there that is not the known one,
    a checksum that differs, no network or ARITHMOS_OFFLINE; then it says what to fetch by hand, and where to put it.
    """
    wanted = remotes if remotes is not None else REMOTES.get(name)
    if wanted is None:
        raise UsageError(
            f"data set '{name}' cannot be fetched",
            why=BY_HAND[name],
            fix="leave --download out" if name == "digits" else "give its folder with --data-dir",
        )
    _check_present(wanted, folder)
    missing = [remote for remote in wanted if not (folder / remote.name).is_file()]
    if missing and settings.offline():
        raise _by_hand(name, missing, folder, "ARITHMOS_OFFLINE is set: the network is not used")
    for remote in missing:
        _fetch_file(name, remote, folder, bar)
    return [folder / remote.name for remote in wanted]


def _check_present(wanted: Sequence[Remote], folder: Path) -> None:
    """Every file that is there is the known one."""
    wrong = []
    for remote in wanted:
        file = folder / remote.name
        if file.is_file() and _digest(file) != remote.sha256:
            size = file.stat().st_size
            cut = size < remote.size_bytes
            wrong.append(f"{remote.name}: {size:,} of {remote.size_bytes:,} bytes" if cut else remote.name)
    if wrong:
        raise UsageError(
            "files are there that are not the known ones",
            where=str(folder),
            why="a download broke off, or they were changed (sha256): " + ", ".join(wrong),
            fix="remove them and run this again, or leave --download out to read them as they are",
        )


def _fetch_file(name: str, remote: Remote, folder: Path, bar: Bar) -> None:
    part = folder / f"{remote.name}{_PART}"
    failed = []
    for url in remote.urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _continue(url, part, remote, bar)
        except (OSError, HTTPException, ValueError) as problem:
            if _is_of_the_disk(problem):
                raise _cannot_write(part, problem) from problem
            failed.append(f"{url}: {(str(problem) or type(problem).__name__).splitlines()[0]}")
            continue
        size = part.stat().st_size
        if size < remote.size_bytes:
            failed.append(f"{url}: it broke off at {size:,} of {remote.size_bytes:,} bytes, which are kept")
            continue
        if (found := _digest(part)) == remote.sha256:
            os.replace(part, folder / remote.name)
            return
        part.unlink()
        failed.append(f"{url}: the sha256 is {found}\nand not {remote.sha256}")
    raise _by_hand(name, [remote], folder, "\n".join(failed))


def _continue(url: str, part: Path, remote: Remote, bar: Bar) -> None:
    """Append what is missing to `part`; from the start where the server cannot continue."""
    there = part.stat().st_size if part.is_file() else 0
    if there >= remote.size_bytes:
        there = 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    with urlopen(request, timeout=TIMEOUT_S) as answer:
        there = there if answer.status == 206 else 0
        with part.open("ab" if there else "wb") as out, bar(remote.name, there, remote.size_bytes) as advance:
            while chunk := answer.read(CHUNK_BYTES):
                there += len(chunk)
                if there > remote.size_bytes:
                    part.unlink()
                    raise ValueError(f"it sends more than {remote.size_bytes:,} bytes")
                out.write(chunk)
                advance(len(chunk))


def _is_of_the_disk(problem: Exception) -> TypeGuard[OSError]:
    # An HTTPError carries its address as `filename`.
    named = isinstance(problem, OSError) and not isinstance(problem, URLError) and problem.filename is not None
    return named or getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _by_hand(name: str, remotes: Sequence[Remote], folder: Path, why: str) -> UsageError:
    lines = [f"{remote.urls[0]} ({remote.size_bytes:,} bytes, sha256 {remote.sha256})" for remote in remotes]
    return UsageError(
        f"data set '{name}' was not fetched",
        where=str(folder),
        why=why,
        fix="\n".join(["try again, or fetch these by hand and put them, as they are, into the folder above", *lines]),
    )


def _cannot_write(part: Path, problem: OSError) -> UsageError:
    return UsageError(
        f"cannot write {part.name}",
        where=str(part),
        why=os.strerror(problem.errno or 0).lower(),
        fix="give a folder that can be written with --data-dir, or set ARITHMOS_CACHE",
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
