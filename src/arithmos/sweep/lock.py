"""The lock of a results folder: one sweep writes into it, and a second one is told which process that is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arithmos.errors import UsageError

LOCK = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder within the block. The system lets go of it when the process ends, however it ends.

    The file stays: a lock file that is removed can be held by two. Raises UsageError where another process holds it.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise UsageError(
                "a sweep is running in this folder",
                where=str(folder),
                why=f"{_holder(os.pread(descriptor, 4096, 0))} writes into it",
                fix="wait until it has ended, or name another folder with --out",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(text: bytes) -> str:
    try:
        said = json.loads(text)
        return f"process {said['pid']} on {said['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
