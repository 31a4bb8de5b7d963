"""An exported program (model.pt2) read without running code that is in the file.

torch.export.load (read in torch 2.13) falls back to full unpickling, loads compiled libraries of the archive, and
evaluates symbolic sizes and guards as Python. The archive is looked through first, and refused where that would run
anything but arithmetic.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.models.weights import DAMAGE, existing, runs_code

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_COMPILED = ("/data/aotinductor/", "/data/executorch/")
_OBJECTS = ("/data/constants/custom_obj_", "/data/constants/opaque_obj_")
_PICKLES = (".pt", "/serialized_state_dict.json", "/serialized_constants.json")
_OPERATOR = re.compile(r"torch\.ops(\.\w+)+|torch\.sym_\w+|_operator\.\w+|math\.\w+")
_SYNTAX = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Attribute),
    *(ast.Subscript, ast.Constant, ast.Tuple, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
# Guards ask inputs (L) for these; sympy's own functions (Add, FloorDiv, Max) begin with a capital.
_FUNCTIONS = frozenset({"size", "stride", "storage_offset", "dim", "numel", "isnan", "inf", "nan"})
_NAMES = frozenset({"L", "math", "torch", "max", "min", "abs", "int", "float"})


def load_exported(path: Path | str) -> ExportedProgram:
    """The program in a file written by torch.export.save.

    Raises UsageError for a missing or damaged file, one of another format, and one whose loading would run code in it;
    MissingTool without torch.
    """
    file = existing(path, "exported program")
    torch = require("torch", "torch")
    try:
        with zipfile.ZipFile(file) as archive:
            _check_harmless(archive, file)
        program = _loaded(file)
    except DAMAGE as problem:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise UsageError(
            "the file is not an exported program of this torch, or it is damaged",
            where=f"{file} ({file.stat().st_size:,} bytes)",
            why=reason,
            fix=f"write it again with torch.export.save of torch {torch.__version__.partition('+')[0]}",
        ) from problem
    return program


def _loaded(file: Path) -> ExportedProgram:
    """torch.export.load, with the reason of a failure, which torch writes to its log and drops."""
    reasons: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            reasons.append(record.exc_info[1])
        return False

    log = logging.getLogger("torch.export")
    log.addFilter(keep)
    try:
        program: ExportedProgram = require("torch", "torch").export.load(file)
    except DAMAGE as problem:
        raise (reasons or [problem])[0] from problem
    finally:
        log.removeFilter(keep)
    return program


def _check_harmless(archive: zipfile.ZipFile, file: Path) -> None:
    """Raises UsageError where loading would run code of the file, BadZipFile where a checksum is wrong."""
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise zipfile.BadZipFile("two files of the archive have one name")
    for name in names:
        content = archive.read(name)
        if found := next((part for part in (*_COMPILED, *_OBJECTS) if part in f"/{name}"), None):
            raise runs_code(file, f"what is in {found.strip('/')}", "code")
        if f"/{name}".endswith(_PICKLES):
            _check_pickle(content, name, file)
        elif name.endswith(".json"):
            for key, value in _entries(json.loads(content)):
                _check_entry(key, value, file)


def _check_pickle(content: bytes, name: str, file: Path) -> None:
    try:
        if content:
            require("torch", "torch").load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise runs_code(file, f"Python objects in {name}") from problem


def _check_entry(key: str, value: Any, file: Path) -> None:
    match key, value:
        case "use_pickle", value if value is not False:  # torch asks for truth, not for True
            raise runs_code(file, "the pickle of a tensor")
        case "expr_str" | "guards_code", str() if not is_arithmetic(value):
            raise runs_code(file, value, "code")
        case "target", str() if not _OPERATOR.fullmatch(value):
            raise runs_code(file, value, "code")


def is_arithmetic(text: str) -> bool:
    """Whether a size or guard of an exported program is arithmetic on sizes, safe to evaluate."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return all(isinstance(node, _SYNTAX) and _is_harmless(node) for node in nodes)


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return name in _NAMES or name[0].isupper() or re.fullmatch(r"[a-z]+\d+", name) is not None
        case ast.Attribute(attr=name):
            return name in _FUNCTIONS or name.startswith("sym_")
        case ast.Constant(value=str() as name):
            return name.isidentifier() and "__" not in name
    return True


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of everything in a JSON document; a list's items carry the list's key."""
    yield key, value
    for inner, item in value.items() if isinstance(value, dict) else []:
        yield from _entries(item, inner)
    for item in value if isinstance(value, list) else []:
        yield from _entries(item, key)
