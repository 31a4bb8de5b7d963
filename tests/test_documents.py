"""Every Python example of the documents runs, in order, as one session a document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from arithmos.cli.main import main
from arithmos.errors import MissingTool

PROJECT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
DOCUMENTS = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.fixture
def names() -> dict[str, Any]:
    """What the examples take for granted: a small trained model, an example input, batches, images."""
    torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
    batches = [rng.random((8, 1, 8, 8), dtype=np.float32) for _ in range(2)]
    return {"model": model.eval(), "example": torch.zeros(1, 1, 8, 8), "batches": batches, "images": batches[0]}


@pytest.mark.parametrize("document", DOCUMENTS, ids=[p.name for p in DOCUMENTS])
def test_examples_run(document: Path, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for match in BLOCK.finditer(document.read_text()):
        line = document.read_text()[: match.start()].count("\n") + 1
        code = "\n" * line + match[1]  # so that a traceback names the document's own line
        try:
            exec(compile(code, str(document), "exec"), names)  # noqa: S102, the documents are ours
        except MissingTool as error:
            pytest.skip(error.fix)


@pytest.mark.parametrize("document", PAGES, ids=[p.name for p in PAGES])
def test_commands_exist_with_their_flags(document: Path) -> None:
    """The lines of shell blocks that begin with `arithmos`, up to a comment, a pipe or a redirection."""
    wrong = []
    for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL):
        for line in re.findall(r"^arithmos .*", block, re.MULTILINE):
            words = re.split(r"\s[#|>;&]", line)[0].split()[1:]
            known = flags_of(words)
            wrong += [f"{line}: {word}" for word in words if word.startswith("-") and word not in known]
    assert wrong == []


def flags_of(words: list[str]) -> set[str]:
    """The flags of the verb that the words begin with, of a group of verbs the second word's too."""
    command: Any = main
    rest = iter(words)
    while isinstance(command, click.Group) and not (word := next(rest, "-")).startswith("-"):
        command = command.get_command(click.Context(command), word)
        assert command is not None, f"there is no verb {word}"
    return {"--help", *(flag for option in command.params for flag in (*option.opts, *option.secondary_opts))}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for document in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("changes/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            if not (document.parent / target).exists():
                broken.append(f"{document.relative_to(PROJECT)}: {target}")
    assert broken == []
