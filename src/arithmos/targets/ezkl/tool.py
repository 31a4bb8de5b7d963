"""ezkl as a tool in a process of its own: a folder in, what each step says out, its failures as ours."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from arithmos.errors import MissingTool, UnsupportedNetwork

PROGRAM = "prove.py"
INSTALL = "pip install ezkl==23.0.5"


def program() -> str:
    """The text of the program that goes with every folder: the only code that imports ezkl."""
    return files("arithmos.targets.ezkl").joinpath(PROGRAM).read_text()


def run(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The steps of the program on a folder; what each of them says.

    Raises MissingTool without ezkl, UnsupportedNetwork where ezkl refuses the files, which would be a defect of ours.
    """
    path = str(files("arithmos.targets.ezkl").joinpath(PROGRAM))
    pipe = subprocess.PIPE
    command = [sys.executable, "-I", path, str(folder), *arguments]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, errors = process.communicate()
        except BaseException:
            process.kill()
            process.wait()
            raise
    said = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    failure = next((line for line in said if "error" in line), None)
    if failure and failure["kind"] == "missing":
        raise missing()
    if failure or process.returncode:
        last = (errors.strip() or out.strip() or f"exit code {process.returncode}").splitlines()[-1]
        raise UnsupportedNetwork(
            f"ezkl refuses '{failure['step'] if failure else 'the network'}'",
            why=f"{failure['error']}\n{last}" if failure else last,
            fix=f"check that ezkl is 23.0.5 ({INSTALL}); with that version, report it with the bundle",
        )
    return said


def missing() -> MissingTool:
    """The error without ezkl."""
    return MissingTool(
        "this needs ezkl",
        why="ezkl is not installed",
        fix=f"{INSTALL}\n"
        "(it names no licence since January 2024: no extra of arithmos installs it, decide for yourself)",
    )
