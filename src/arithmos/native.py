"""Generated C and C++: built by the system compiler once, kept in the cache by digest, loaded by ctypes.

The cache is bounded: where all builds together take more than CACHE_BYTES, those used longest ago are removed.

What is built is named by the sha256 of everything that determines it: sources, flags, the compiler's version, the
machine, and the processor's features where a flag says `native`. Processes may build the same source at the same time:
each builds in a directory of its own and renames it into place; the first one wins.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

from arithmos import settings
from arithmos.atomic import room_for
from arithmos.errors import ArithmosError, CompileError, MissingTool, UsageError

Language = Literal["c", "c++"]

_TOOL: dict[Language, str] = {"c": "cc", "c++": "cxx"}
_SOURCE: dict[Language, str] = {"c": "source.c", "c++": "source.cpp"}
_INSTALL: dict[Language, str] = {
    "c": "apt-get install gcc libc6-dev (Debian, Ubuntu), dnf install gcc (Fedora), xcode-select --install (macOS)",
    "c++": "apt-get install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora), xcode-select --install (macOS)",
}
_PROBE = """#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
extern "C"
#endif
int two(void) { return 2; }
"""
_SHOWN_LINES = 8

CACHE_BYTES = 1 << 30
_SPARED_S = 3600.0
"""What was used within the hour stays: another process may be about to load it."""


def compile_library(
    source: str, *, flags: Sequence[str] = (), headers: Mapping[str, str] | None = None, language: Language = "c"
) -> ctypes.CDLL:
    """The shared library made of one source text. Built at most once on a machine, loaded from the cache afterwards.

    flags: for the compiler, `-l…` for the linker too. headers: {file name: text} the source includes by `"name"`.
    Raises MissingTool if there is no compiler, CompileError with the compiler's first lines if it refuses, UsageError
    if the cache cannot be written or its file system forbids execution.
    """
    everything = ("-shared", "-fPIC", *flags)
    library = _build(source, everything, headers or {}, language)
    with suppress(OSError):
        return ctypes.CDLL(str(library))
    # A cache copied from another machine, or a damaged file: what is built here and now will load.
    shutil.rmtree(library.parent, ignore_errors=True)
    library = _build(source, everything, headers or {}, language)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UsageError(
            "a library that was just compiled cannot be loaded",
            where=str(library),
            why=str(error),
            fix="set ARITHMOS_CACHE to a directory from which programs may be executed",
        ) from error


def available(language: Language = "c") -> bool:
    """Whether there is a compiler that builds a library which loads and computes."""
    try:
        return bool(compile_library(_PROBE, language=language).two() == 2)
    except (MissingTool, CompileError, UsageError):
        return False


@cache
def cpu_flags() -> frozenset[str]:
    """The processor's features as Linux names them (avx2, avx512_vnni, asimd …); empty where no list is found."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, names = line.partition(":")
            if key.strip() in ("flags", "Features"):
                return frozenset(names.split())
    return frozenset()


def _build(source: str, flags: tuple[str, ...], headers: Mapping[str, str], language: Language) -> Path:
    """The file built from these texts, from the cache if it is there."""
    compiler = _compiler(language)
    native = [sorted(cpu_flags())] if any("native" in flag for flag in flags) else []
    facts = [source, flags, dict(headers), language, _version(compiler), platform.machine(), sys.platform, native]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    home = settings.cache_dir() / "native" / digest
    product = home / "built"
    if product.is_file():
        with suppress(OSError):  # a cache that only others may write
            os.utime(home)
        return product
    with room_for(home, elsewhere="set ARITHMOS_CACHE to a directory that can be written") as room:
        draft = room / "draft"
        for name, text in {**headers, _SOURCE[language]: source}.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(text)
        options = [flag for flag in flags if not flag.startswith("-l")]
        libraries = [flag for flag in flags if flag.startswith("-l")]  # linkers resolve from left to right
        command = [str(compiler), *options, _SOURCE[language], "-o", product.name, *libraries]
        done = subprocess.run(command, cwd=draft, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            kept = home.with_name(f"{digest}.failed")
            with suppress(OSError):  # it is there from an earlier attempt: the same source
                os.rename(draft, kept)
            raise _refused(command, done, kept / _SOURCE[language])
        try:
            os.rename(draft, home)
        except OSError:
            if not product.is_file():  # else another process built it meanwhile
                raise
    _bound(home.parent)
    return product


def _bound(folder: Path) -> None:
    """Remove what was used longest ago, until the rest takes CACHE_BYTES at most."""
    kept, now = 0, time.time()
    with suppress(OSError):  # another process tidies, or the cache is not ours: it stays as it is
        for used, build in sorted(((path.stat().st_mtime, path) for path in folder.iterdir()), reverse=True):
            kept += sum(file.stat().st_size for file in build.rglob("*"))
            if kept > CACHE_BYTES and now - used > _SPARED_S:
                shutil.rmtree(build, ignore_errors=True)


def _compiler(language: Language) -> Path:
    found = settings.tool(_TOOL[language])
    if found is None:
        what, candidates = settings.TOOLS[_TOOL[language]]
        raise MissingTool(
            f"this needs {what.replace('the', 'a', 1)}",
            why=f"there is none of {', '.join(candidates)} on the search path",
            fix=f"install one: {_INSTALL[language]};\nor set ARITHMOS_{_TOOL[language].upper()} to its path",
        )
    return found


def _version(compiler: Path) -> str:
    """What the compiler says it is, asked once for each state of its file."""
    status = compiler.stat()
    return _version_of(compiler, status.st_mtime_ns, status.st_size)


@cache
def _version_of(compiler: Path, modified_ns: int, size_bytes: int) -> str:
    return subprocess.run(
        [str(compiler), "--version"], capture_output=True, text=True, errors="replace", check=False
    ).stdout


def _refused(command: list[str], done: subprocess.CompletedProcess[str], source: Path) -> ArithmosError:
    lines = done.stderr.splitlines() or [f"it ended with status {done.returncode} and said nothing"]
    shown = lines[:_SHOWN_LINES] + [f"… and {len(lines) - _SHOWN_LINES} more lines"] * (len(lines) > _SHOWN_LINES)
    if os.strerror(errno.ENOSPC) in done.stderr:
        return UsageError(
            "the disk is full",
            where=str(source),
            why="\n".join([" ".join(command), *shown]),
            fix="free some space for the cache and the temporary directory, or set ARITHMOS_CACHE to another place",
        )
    return CompileError(
        "the compiler refused generated source",
        where=str(source),
        why="\n".join([" ".join(command), *shown]),
        fix="use a newer compiler (ARITHMOS_CC, ARITHMOS_CXX); if that does not help, report it with this source",
    )
