"""Every environment variable arithmos reads, and the cache directory. No other file reads the environment."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from arithmos.errors import UsageError

TOOLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cc": ("the C compiler", ("cc", "gcc", "clang")),
    "cxx": ("the C++ compiler", ("c++", "g++", "clang++")),
}
"""tool -> (what it is, the programs looked for on the search path, in this order); ARITHMOS_<TOOL> names another."""

_CLAIMS = {
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, what it changes, its value ("" if unset), and what holds because of it."""

    name: str
    meaning: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Cached:
    """A folder of the cache: its name, what it holds, and the command that clears it."""

    name: str
    files: int
    mb: float
    clear: str


def cached() -> tuple[Cached, ...]:
    """Every folder of the cache, for `arithmos doctor`; none where there is no cache. `native` stays under 1 GB."""
    rows: list[Cached] = []
    with suppress(OSError, UsageError):  # what disappears while it is counted, and a home that is unknown
        for folder in sorted(path for path in cache_dir().iterdir() if path.is_dir()):
            sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
            clear = f"rm -r {shlex.quote(str(folder))}"
            rows.append(Cached(folder.name, len(sizes), round(sum(sizes) / 1e6, 1), clear))
    return tuple(rows)


def cache_dir() -> Path:
    """$ARITHMOS_CACHE, else $XDG_CACHE_HOME/arithmos, else ~/.cache/arithmos. It need not exist yet.

    Raises UsageError where the home directory is needed and unknown.
    """
    chosen, xdg = _value("ARITHMOS_CACHE"), Path(_value("XDG_CACHE_HOME"))
    if not chosen and xdg.is_absolute():  # the XDG base directory specification: relative paths are to be ignored
        return xdg / "arithmos"
    try:
        return Path(chosen or "~/.cache/arithmos").expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            "there is no place for the cache",
            why="the home directory is unknown",
            fix="set ARITHMOS_CACHE to a directory that can be written",
        ) from error


def offline() -> bool:
    """ARITHMOS_OFFLINE: nothing may be fetched. Raises UsageError for a value that is neither yes nor no."""
    return _claim("ARITHMOS_OFFLINE")


def debug() -> bool:
    """ARITHMOS_DEBUG: errors show their traceback. Raises UsageError for a value that is neither yes nor no."""
    return _claim("ARITHMOS_DEBUG")


def color() -> bool:
    """False if NO_COLOR is set to anything but the empty string (no-color.org)."""
    return not _value("NO_COLOR")


def tool(name: str) -> Path | None:
    """The program of this row of TOOLS: $ARITHMOS_<NAME> (a path or a name), else the first one found, else None.

    Raises UsageError if the variable names no program: a choice of the user's is never silently replaced.
    """
    summary, candidates = TOOLS[name]
    variable = _variable_of(name)
    chosen = _value(variable)
    if chosen and not shutil.which(chosen):
        raise UsageError(
            f"{variable} does not name {summary}",
            where=f"{variable}={chosen}",
            why="there is no program of this name that can be executed",
            fix=f"set {variable} to the path of {summary}, or unset it to use the first of {', '.join(candidates)}",
        )
    found = (shutil.which(candidate) for candidate in ([chosen] if chosen else candidates))
    return next((Path(path).absolute() for path in found if path), None)


def variables() -> tuple[Variable, ...]:
    """Every variable with its current value, for `arithmos doctor`; one that cannot be used says so as its effect."""
    rows: list[tuple[str, str, Callable[[], bool | Path | None]]] = [
        ("ARITHMOS_CACHE", "where compiled kernels and fetched files are kept", cache_dir),
        ("XDG_CACHE_HOME", "its subdirectory arithmos is the cache, unless ARITHMOS_CACHE is set", cache_dir),
        ("ARITHMOS_OFFLINE", "1: the network is never used", offline),
        ("ARITHMOS_DEBUG", "1: errors show their traceback", debug),
        ("NO_COLOR", "anything: no colours on the terminal", lambda: not color()),
        *((_variable_of(name), f"the path of {TOOLS[name][0]}", partial(tool, name)) for name in TOOLS),
    ]
    return tuple(Variable(name, meaning, _value(name), _effect(read)) for name, meaning, read in rows)


def _effect(read: Callable[[], bool | Path | None]) -> str:
    try:
        answer = read()
    except UsageError as error:
        return error.what
    if isinstance(answer, bool):
        return "on" if answer else "off"
    return str(answer or "not found")


def _variable_of(tool_name: str) -> str:
    return f"ARITHMOS_{tool_name.upper()}"


def _value(name: str) -> str:
    return os.environ.get(name, "").strip()


def _claim(name: str) -> bool:
    value = _value(name)
    if value.lower() not in _CLAIMS:
        raise UsageError(
            f"{name} is neither yes nor no",
            where=f"{name}={value}",
            why="it takes 1, true, yes or on, and 0, false, no, off or nothing",
            fix=f"set {name}=1 or unset it",
        )
    return _CLAIMS[value.lower()]
