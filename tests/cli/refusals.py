"""The one check of a refusal: the exit code, every text that is said, and a folder that stays as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def listing(folder: Path) -> dict[str, str]:
    """Every path below the folder, with the hash of what it holds."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in folder.rglob("*")
    }


def refused(arithmos: Any, here: Path, code: int, arguments: str, *said: str) -> None:
    """The command ends with the code, says every text on stderr and nothing on stdout, and writes nothing."""
    before = listing(here)
    result = arithmos(*arguments.split())
    assert result.exit_code == code, result.stderr
    for text in said:
        assert text.format(here=here) in result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert listing(here) == before
