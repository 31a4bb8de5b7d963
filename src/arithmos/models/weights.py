"""Weights from a file or the hub into a module: every tensor is checked, every problem told, before one is changed."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.models.hub import SCHEME, fetch
from arithmos.models.likely import COUNTER, Likeness, agreement, likely, other_classes
from arithmos.models.registry import full_name
from arithmos.models.unreadable import reason

if TYPE_CHECKING:
    from torch import Tensor, nn

_SHOWN = 10
_CONTAINERS = ("state_dict", "model_state_dict", "model")
# torch.nn.DataParallel and torch.compile put these before every name.
_WRAPPERS = ("module.", "_orig_mod.")
# Other spellings of the same architectures: the residual networks of kuangliu/pytorch-cifar.
_SPELLINGS: tuple[Mapping[str, str], ...] = ({"shortcut": "downsample", "linear": "fc"},)
# What torch.load was seen to raise on files with flipped or missing bytes.
DAMAGE = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, AssertionError, AttributeError, TypeError),
    *(OverflowError, MemoryError, struct.error, zipfile.BadZipFile),
)
_FORBIDDEN = re.compile(
    r"(?:Unsupported global: GLOBAL|Unsupported class|[Tt]rying to load unsupported GLOBAL) ([\w.]+)"
)


def load_weights(module: nn.Module, path: Path | str) -> nn.Module:
    """Copy the tensors of a weights file into `module`, which is returned; nothing is changed if anything is wrong.

    path: .safetensors, or .pt/.pth/.bin of torch.save, read without executing code in it: a state dict, or one inside
    {"state_dict": ...}; or "hf:org/name@revision", see `hub.fetch`. Names before which every tensor has "module." lose
    it. Tensors are cast to the module's type. What only training reads (the module's `training_only` prefixes) may be
    missing. Raises UsageError for a missing or damaged file, for a pickle that would run code, and with every tensor
    that is missing, unexpected, of another shape or kind, NaN or infinite, and the network of the zoo that the file is
    likely for; MissingTool without torch.
    """
    file = located(path)
    expected = module.state_dict()
    stored = _respelled(_unwrapped(read_tensors(file), expected), expected)
    optional: tuple[str, ...] = getattr(module, "training_only", ())
    stored = {n: t for n, t in stored.items() if n in expected or not (n.endswith(COUNTER) or n.startswith(optional))}
    needed = {n: t for n, t in expected.items() if n in stored or not n.startswith(optional)}
    if problems := list(_problems(needed, stored)):
        raise _misfits(problems, needed, stored, file)
    module.load_state_dict(stored, strict=False)
    return module


def located(path: Path | str) -> Path:
    """The file that `path` names, fetched if it is "hf:org/name@revision". Raises UsageError where there is none."""
    return fetch(str(path)) if str(path).startswith(SCHEME) else existing(path, "weights file")


def _misfits(
    problems: list[str], expected: Mapping[str, Tensor], stored: Mapping[str, Tensor], file: Path
) -> UsageError:
    shapes = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    what = f"the weights do not fit the model: {len(problems)} of its tensors are wrong"
    fix = "choose the model these weights were trained for with --model, or correct the file"
    complete = all(name.endswith(COUNTER) for name in shapes.keys() ^ wanted.keys())
    if complete and (classes := other_classes(shapes, wanted)) and all(": shape " in problem for problem in problems):
        what = f"the weights are for {classes[0]} classes, the model has {classes[1]}"
        fix = f"build the model for {classes[0]} classes: --classes {classes[0]}, or classes={classes[0]} in Python"
    elif shapes != wanted and (found := likely(shapes)) and found.share > agreement(shapes, wanted):
        fix = _advice(found)
    return UsageError(what, where=str(file), why="\n       ".join([*problems[:_SHOWN], *more]), fix=fix)


def _advice(found: Likeness) -> str:
    name, classes = full_name(found.name), f" --classes {found.classes}" if found.classes else ""
    if found.share == 1:
        return f"these are the tensors of {found.name}: give --model {name}{classes}"
    share = f"{found.share:.0%} of the tensors are those of {found.name}"
    return f"{share}: give --model {name}{classes}, or correct the file"


def existing(path: Path | str, noun: str) -> Path:
    """The absolute path of a file that exists. Raises UsageError with that path; noun: what the file is."""
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise UsageError(
            f"the {noun} is a folder" if file.is_dir() else f"there is no such {noun}",
            where=str(file),
            why="a single file is read" if file.is_dir() else "no file has this path",
            fix="name the file in it" if file.is_dir() else "check the path",
        )
    return file


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The named tensors of a weights file, on the CPU. Raises UsageError as `load_weights` does for the file."""
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(
            f"weights cannot be read from '{file.suffix or file.name}' files",
            where=str(file),
            why=f"known are {', '.join(READERS)}",
            fix="save the state dict with safetensors.torch.save_file(model.state_dict(), path)",
        )
    return reader(file)


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = require("safetensors.torch", "torch").load_file(file)
    except (SafetensorError, OSError, ValueError) as problem:
        raise _damaged(file, "safetensors", problem) from problem
    return tensors


def _torch_save(file: Path) -> dict[str, Tensor]:
    torch = require("torch", "torch")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        forbidden = _FORBIDDEN.search(str(problem))
        if forbidden is None:
            raise _damaged(file, "torch.save", problem) from problem
        raise runs_code(file, forbidden[1]) from problem
    except DAMAGE as problem:
        raise _damaged(file, "torch.save", problem) from problem
    return _state_dict(content, file)


def runs_code(file: Path, what: str, kind: str = "a pickle with code in it") -> UsageError:
    """The refusal of a file that contains `kind`, whose loading would run `what`."""
    return UsageError(
        f"the file contains {kind}",
        where=str(file),
        why=f"loading it would run {what}; arithmos reads tensors and never executes what a file says",
        fix="where the model's code is, save its tensors alone: torch.save(model.state_dict(), path)",
    )


READERS: Mapping[str, Callable[[Path], dict[str, Any]]] = MappingProxyType(
    {".safetensors": _safetensors, ".pt": _torch_save, ".pth": _torch_save, ".bin": _torch_save}
)


def _damaged(file: Path, kind: str, problem: Exception) -> UsageError:
    return UsageError(
        f"the file is not a {kind} file, or it is cut off",
        where=f"{file} ({file.stat().st_size:,} bytes)",
        why=reason(file, problem),
        fix="fetch it again and compare its size with the original",
    )


def _state_dict(content: Any, file: Path) -> dict[str, Tensor]:
    torch = require("torch", "torch")
    for container in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
    others = (
        [f"{name!r}: {type(value).__name__}" for name, value in content.items() if not isinstance(value, torch.Tensor)]
        if isinstance(content, dict)
        else [type(content).__name__]
    )
    if others or not content:
        shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
        raise UsageError(
            "the file holds no state dict",
            where=str(file),
            why=f"a state dict is a dictionary of tensors; here are {shown or 'none'}",
            fix=f"save model.state_dict(), or put it under one of the keys {', '.join(_CONTAINERS)}",
        )
    return dict(content)


def _unwrapped(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        wrapped = bool(tensors) and all(name.startswith(prefix) for name in tensors)
        if wrapped and not any(name.startswith(prefix) for name in expected):
            return _unwrapped({name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, expected)
    return tensors


def _respelled(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for spelling in _SPELLINGS:
        renamed = {".".join(spelling.get(part, part) for part in name.split(".")): t for name, t in tensors.items()}
        if renamed.keys() == expected.keys():
            return renamed
    return tensors


def _problems(expected: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> Iterator[str]:
    """One line for every tensor that does not fit, in the order of the module, unexpected ones last."""
    # Tied weights are stored once: a name whose memory is another one's is not missing.
    present = {tensor.data_ptr() for name, tensor in expected.items() if name in stored and tensor.numel()}
    for name, target in expected.items():
        if name in stored:
            yield from _misfit(name, target, stored[name])
        elif not name.endswith(COUNTER) and target.data_ptr() not in present:
            yield f"{name}: missing, should be {_shape(target)}"
    for name, tensor in stored.items():
        if name not in expected:
            yield f"{name}: unexpected, {_shape(tensor)}"


def _misfit(name: str, target: Tensor, stored: Tensor) -> Iterator[str]:
    if stored.shape != target.shape:
        yield f"{name}: shape {_shape(stored)}, should be {_shape(target)}"
    elif stored.is_floating_point() != target.is_floating_point() or stored.is_complex():
        yield f"{name}: {stored.dtype}, should be {target.dtype}"
    elif target.is_floating_point():
        cast = stored.to(target.dtype)
        if n_nan := int(cast.isnan().sum()):
            yield f"{name}: {n_nan} of {cast.numel()} values are NaN"
        if n_infinite := int(cast.isinf().sum()):
            yield f"{name}: {n_infinite} of {cast.numel()} values are infinite in {target.dtype}"
        if name.endswith("running_var") and bool((cast < 0).any()):
            yield f"{name}: {int((cast < 0).sum())} of {cast.numel()} variances are negative"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(extent) for extent in tensor.shape) or "scalar"
