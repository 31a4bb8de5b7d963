"""A frozen configuration as TOML: the file read, and keys refused that no field has."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from arithmos.errors import UsageError


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """What the file says, unchecked but for its form. what: "recipe", "configuration".

    Raises UsageError for a missing file and bad TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError(
            f"the {what} cannot be read", where=str(path), why=str(error), fix="give a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the {what} is not TOML", where=str(path), why=str(error), fix="mend the line it names"
        ) from error


def refuse_unknown_keys(given: Iterable[str], known: Sequence[str], what: str, where: str = "") -> None:
    """Raise UsageError naming every unknown key with the closest known one. what: "recipe", "training"."""
    if unknown := [unknown_key(key, known) for key in given if key not in known]:
        raise UsageError(
            f"this {what} has unknown keys",
            where=where,
            why="\n".join(unknown),
            fix=f"the keys are {', '.join(known)}",
        )


def unknown_key(name: str, known: Sequence[str]) -> str:
    """A line for a key that is not known, with the closest one that is."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"there is no '{name}'" + (f", did you mean '{close[0]}'?" if close else "")
