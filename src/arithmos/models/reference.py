"""A model named on the command line: a name of the zoo, the user's own my_file.py:make_model, or model.pt2."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.models.exported import load_exported
from arithmos.models.registry import build
from arithmos.models.weights import READERS, existing

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram


def resolve(reference: str) -> nn.Module | ExportedProgram:
    """The network that `reference` names, a module in eval mode or a program.

    "resnet20" is built from the zoo; "my_file.py:make_model" is what that function of that file returns; "model.pt2"
    is loaded with torch.export. Raises UsageError naming the file, function or line that is wrong, MissingTool
    without torch.
    """
    path, _, function = reference.rpartition(":")
    if path.endswith(".py"):
        return _own(path, function)
    suffix = Path(reference).suffix.lower()
    if suffix == ".pt2":
        return load_exported(reference)
    if suffix == ".py":
        file = existing(reference, "model file")
        raise UsageError(
            "the model's function is not named",
            where=str(file),
            why=f"a Python file is given as file.py:function; its functions are {_functions(file)}",
            fix=f"for example {reference}:make_model",
        )
    if suffix in READERS:
        raise UsageError(
            f"'{reference}' is a weights file, not a model",
            why="weights say nothing of how the network computes",
            fix=f"name the model they are for with --model, and give {Path(reference).name} as WEIGHTS",
        )
    return build(reference)


def _own(path: str, function: str) -> nn.Module:
    file = existing(path, "model file")
    torch = require("torch", "torch")
    where = f"{file}:{function}"
    module = _executed(file)
    make = getattr(module, function, None)
    if not callable(make):
        raise UsageError(
            f"the file has no function '{function}'" if make is None else f"'{function}' is not a function",
            where=where,
            why=f"its functions are {_functions(file)}",
            fix="check the name after the colon",
        )
    network = _called(make, file, f"{function}() raised")
    if not isinstance(network, torch.nn.Module):
        raise UsageError(
            f"{function}() returned {type(network).__name__}",
            where=where,
            why="a torch.nn.Module is expected",
            fix="return the network, with its weights",
        )
    # A fresh module is in training mode; a function that makes a model for inference need not know that.
    evaluated: nn.Module = network.eval()
    return evaluated


def _executed(file: Path) -> ModuleType:
    """The file as a module, under a name of its own; its folder is on the path while it runs, for its own imports."""
    specification = importlib.util.spec_from_file_location(f"arithmos_model_{file.stem}", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Registered, because dataclasses and torch.export look a class's module up by its name.
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(file.parent))
    try:
        loader = specification.loader
        _called(lambda: loader.exec_module(module), file, "the model file cannot be run")
    finally:
        sys.path.remove(str(file.parent))
    return module


def _called(function: Callable[[], Any], file: Path, what: str) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as problem:  # the user's code may raise anything
        frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(file)]
        line = problem.lineno if isinstance(problem, SyntaxError) else frames[-1].lineno if frames else None
        text = problem.text if isinstance(problem, SyntaxError) else frames[-1].line if frames else None
        raise UsageError(
            f"{what}: {type(problem).__name__}",
            where=(f"{file}:{line}" if line else str(file)) + (f"\n       {text.strip()}" if text else ""),
            why=str(problem) or "no message",
            fix="correct this line; `python` must be able to run the file",
        ) from problem


def _functions(file: Path) -> str:
    names = [
        node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    return ", ".join(name for name in names if not name.startswith("_")) or "none"
