"""`require` gives the module, or the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from arithmos.errors import MissingTool
from arithmos.extras import require


def test_an_installed_module_is_imported() -> None:
    assert require("json.decoder", "torch") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["not_a_module_of_anyone", "not_a_module_of_anyone.part"])
def test_a_missing_module_names_the_command(module: str) -> None:
    with pytest.raises(MissingTool) as caught:
        require(module, "onnx")
    assert str(caught.value) == (
        "this needs not_a_module_of_anyone\n"
        "  why  not_a_module_of_anyone is not installed\n"
        '  fix  pip install "arithmos[onnx]"'
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import another_missing_part", "No module named 'another_missing_part'"),
        (
            "raise ImportError('libfoo.so.1: cannot open shared object file')",
            "libfoo.so.1: cannot open shared object file",
        ),
    ],
)
def test_a_broken_module_says_what_is_broken(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_for_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingTool) as caught:
        require("broken_for_a_test", "report")
    assert str(caught.value) == (
        "this needs broken_for_a_test\n"
        f"  why  broken_for_a_test is installed but cannot be imported: {reason}\n"
        '  fix  pip install --force-reinstall "arithmos[report]"'
    )


def test_other_exceptions_of_a_module_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_for_a_test.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        require("raises_for_a_test", "report")
