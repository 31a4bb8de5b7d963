"""A program of ours in an interpreter of its own, beside a library that we do not import; what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """said: the JSON objects it printed, one a line; failure: the first with an "error"; last: the last line of its
    errors, of what it printed, or its exit code."""

    said: list[dict[str, Any]]
    failure: dict[str, Any] | None
    code: int
    errors: str
    last: str


def run_program(package: str, program: str, *arguments: str, text: str = "") -> Ended:
    """Run a file of a package to its end, with `text` as its input; where we are interrupted, it is gone before we go
    on."""
    pipe, path = subprocess.PIPE, str(files(package).joinpath(program))
    command = [sys.executable, "-I", path, *arguments]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, errors = process.communicate(text)
        except BaseException:
            process.kill()
            process.wait()
            raise
    said = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    last = (errors.strip() or out.strip() or f"exit code {process.returncode}").splitlines()[-1]
    return Ended(said, next((line for line in said if "error" in line), None), process.returncode, errors, last)
