"""The rules of CONTRIBUTING.md that no other tool checks: sizes, names, layout, words, requirements."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "arithmos"
MOST_LINES = 600
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "core"}
FOLDERS = ("src", "tests", "bench", "docs", "examples", "changes", ".ci")
TEXTS = {".py", ".md", ".toml", ".txt", ".cff", ".html", ".h", ".c", ".json", ""}


def files(*suffixes: str) -> list[Path]:
    """Every file of the project with one of these suffixes, in its folders and beside them."""
    found = [p for p in PROJECT.iterdir() if p.is_file()]
    for folder in FOLDERS:
        found += [p for p in (PROJECT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(p for p in found if p.suffix in suffixes)


def named(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(PROJECT)) for p in paths]


def test_no_file_is_long() -> None:
    long = [p for p in files(".py", ".h", ".c", ".html") if len(p.read_text().splitlines()) > MOST_LINES]
    assert named(long) == []


def test_files_are_named_by_what_they_hold() -> None:
    assert named([p for p in files(".py") if p.stem in NAMELESS or p.parent.name in NAMELESS]) == []


def test_tests_mirror_the_package() -> None:
    packages = {p.parent.relative_to(SOURCE) for p in SOURCE.rglob("*.py")} | {
        p.relative_to(SOURCE) for p in SOURCE.rglob("*") if p.is_dir()
    }
    folders = {p.parent.relative_to(PROJECT / "tests") for p in (PROJECT / "tests").rglob("test_*.py")}
    assert {str(f) for f in folders - packages} == set()


def test_no_path_of_a_machine_and_no_address_of_a_registry() -> None:
    # The pattern is written so that this file does not hold what it looks for.
    forbidden = re.compile(r"/(work|home|root|Users)/[a-z]|index[-]url|/simple[/]|\+cpu\b")
    found = [
        f"{p.relative_to(PROJECT)}:{number}: {line.strip()}"
        for p in files(*TEXTS)
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if forbidden.search(line.replace(forbidden.pattern, ""))
    ]
    assert found == []


def test_every_requirement_is_pinned_once_and_justified() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [name_of(r) for r in (*project["dependencies"], *(r for extra in extras.values() for r in extra))]
    pins = [name_of(line) for line in (PROJECT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert len(pins) == len(set(pins))
    assert set(wanted) - {"arithmos"} - set(pins) == set()
    notes = "".join(p.read_text() for p in (PROJECT / "changes").glob("*.md"))
    assert [name for name in wanted if name != "arithmos" and name not in notes] == []


@pytest.mark.parametrize("name", ["torch", "numpy", "setuptools"])
def test_pins_are_exact(name: str) -> None:
    text = (PROJECT / "constraints.txt").read_text()
    assert len(re.findall(rf"^{name}==\d+(\.\d+)+$", text, re.MULTILINE)) == 1


def name_of(requirement: str) -> str:
    """The package's normalised name in a requirement or a pin."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()
