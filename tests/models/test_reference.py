"""Models named on the command line: zoo, file.py:function, model.pt2; wrong names say what is wrong and where."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.models.reference import resolve
from arithmos.models.registry import build

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

OWN = """\
from dataclasses import dataclass

import torch
from neighbour import SIZE


@dataclass
class Options:
    size: int = SIZE


def make_model():
    return torch.nn.Sequential(torch.nn.Linear(Options().size, 2), torch.nn.Dropout())


def make_nothing():
    return 3


def make_trouble():
    size = 4
    return torch.nn.Linear("a", size)


def needs_size(size):
    return torch.nn.Linear(size, 2)


def _private():
    pass


NUMBER = 3
"""
FUNCTIONS = "make_model, make_nothing, make_trouble, needs_size"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("SIZE = 5\n")
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def refused(reference: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolve(reference)
    return caught.value


def test_zoo() -> None:
    model = resolve("digits_cnn")
    assert torch.equal(model.fc.weight, build("digits_cnn").fc.weight)


def test_own_function_gives_a_module_in_eval_mode(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = list(sys.path)
    model = resolve(f"{own}:make_model")
    assert model[0].in_features == 5
    assert not model[1].training
    monkeypatch.chdir(own.parent)
    assert isinstance(resolve("own.py:make_model"), torch.nn.Sequential)
    assert sys.path == path


def test_exported_program(tmp_path: Path) -> None:
    model, images = build("digits_cnn"), torch.ones(1, 1, 8, 8)
    torch.export.save(torch.export.export(model, (images,)), tmp_path / "m.pt2")
    loaded = resolve(str(tmp_path / "m.pt2"))
    assert isinstance(loaded, torch.export.ExportedProgram)
    assert torch.equal(loaded.module()(images), model(images))


def test_missing_files(tmp_path: Path) -> None:
    for reference in (f"{tmp_path}/no.py:make", f"{tmp_path}/no.py"):
        assert str(refused(reference)) == (
            f"there is no such model file\n  at   {tmp_path}/no.py\n  why  no file has this path\n  fix  check the path"
        )
    assert refused(f"{tmp_path}/no.pt2").where == f"{tmp_path}/no.pt2"


def test_no_such_function(own: Path) -> None:
    assert str(refused(f"{own}:make_modle")) == (
        f"the file has no function 'make_modle'\n  at   {own}:make_modle\n"
        f"  why  its functions are {FUNCTIONS}\n  fix  check the name after the colon"
    )
    assert refused(f"{own}:NUMBER").what == "'NUMBER' is not a function"
    assert refused(f"{own}:").what == "the file has no function ''"
    assert refused(str(own)).what == "the model's function is not named"
    assert refused(str(own)).why == f"a Python file is given as file.py:function; its functions are {FUNCTIONS}"


def test_not_a_module(own: Path) -> None:
    assert refused(f"{own}:make_nothing").what == "make_nothing() returned int"


def test_the_users_line_is_shown_where_the_function_raises(own: Path) -> None:
    error = refused(f"{own}:make_trouble")
    assert error.what == "make_trouble() raised: TypeError"
    line = OWN.splitlines().index('    return torch.nn.Linear("a", size)') + 1
    assert error.where == f'{own}:{line}\n       return torch.nn.Linear("a", size)'
    assert error.why


def test_functions_with_arguments(own: Path) -> None:
    error = refused(f"{own}:needs_size")
    assert error.what == "needs_size() raised: TypeError"
    assert "missing 1 required positional argument: 'size'" in error.why


@pytest.mark.parametrize(
    ("content", "kind", "line"),
    [
        ("import torch\nx = 1 +\n", "SyntaxError", 2),
        ("import torch\nimport no_such_library\n", "ModuleNotFoundError", 2),
        ("import sys\n\nsys.exit('bye')\n", "SystemExit", 3),
        ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError", 2),
    ],
)
def test_files_that_cannot_be_run(tmp_path: Path, content: str, kind: str, line: int) -> None:
    file = tmp_path / "own.py"
    file.write_text(content)
    error = refused(f"{file}:make_model")
    assert error.what == f"the model file cannot be run: {kind}"
    assert error.where == f"{file}:{line}\n       {content.splitlines()[line - 1].strip()}"


def test_weights_are_not_a_model() -> None:
    error = refused("nets/resnet20.safetensors")
    assert error.what == "'nets/resnet20.safetensors' is a weights file, not a model"
    assert error.fix == "name the model they are for with --model, and give resnet20.safetensors as WEIGHTS"


def test_anything_else_is_looked_for_in_the_zoo() -> None:
    assert refused("resnet21").what == "there is no model 'resnet21'"
