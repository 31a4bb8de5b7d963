"""ezkl as a tool in a process of its own: a folder in, what each step says out, its failures as ours."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from arithmos.errors import MissingTool, UnsupportedNetwork
from arithmos.targets.tool_process import run_program

PROGRAM = "prove.py"
INSTALL = "pip install ezkl==23.0.5"


def program() -> str:
    """The text of the program that goes with every folder: the only code that imports ezkl."""
    return files("arithmos.targets.ezkl").joinpath(PROGRAM).read_text()


def run(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The steps of the program on a folder; what each of them says.

    Raises MissingTool without ezkl, UnsupportedNetwork where ezkl refuses the files, which would be a defect of ours.
    """
    ended = run_program("arithmos.targets.ezkl", PROGRAM, str(folder), *arguments)
    failure = ended.failure
    if failure and failure["kind"] == "missing":
        raise missing()
    if failure or ended.code:
        raise UnsupportedNetwork(
            f"ezkl refuses '{failure['step'] if failure else 'the network'}'",
            why=f"{failure['error']}\n{ended.last}" if failure else ended.last,
            fix=f"check that ezkl is 23.0.5 ({INSTALL}); with that version, report it with the bundle",
        )
    return ended.said


def missing() -> MissingTool:
    """The error without ezkl."""
    return MissingTool(
        "this needs ezkl",
        why="ezkl is not installed",
        fix=f"{INSTALL}\n"
        "(it names no licence since January 2024: no extra of arithmos installs it, decide for yourself)",
    )
