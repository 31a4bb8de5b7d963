"""The zoo's table: name -> facts and builder.

An architecture file imports torch at its top and decorates its builders with `@register(...)`, whose arguments are
literals. The table is read from the source of these files, so that listing the zoo neither needs torch nor waits for
it; a file is executed only when one of its models is built. The tests build every model and hold the facts against it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.datasets import DATASETS
from arithmos.train.data.preparation import NORMALISATIONS, Preparation

if TYPE_CHECKING:
    from torch import nn

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of the zoo: what it was made for and what it costs at its usual input shape (one image)."""

    name: str
    dataset: str
    input_shape: tuple[int, int, int]
    classes: int
    parameters: int
    macs: int
    normalisation: str
    source: str
    builder: str
    """"package.module:function", imported by `build`."""

    @property
    def preparation(self) -> Preparation:
        """The data set's preparation with this model's normalisation and input size: what its weights expect."""
        usual = DATASETS[self.dataset].preparation
        mean, std = NORMALISATIONS[self.normalisation]
        return replace(usual, mean=mean, std=std, crop=usual.crop and self.input_shape[-1])


def register(
    name: str,
    *,
    dataset: str,
    input_shape: tuple[int, int, int],
    classes: int,
    parameters: int,
    macs: int,
    normalisation: str,
    source: str,
) -> Callable[[Builder], Builder]:
    """Declare the function below as the builder of model `name`; the arguments are literals, see `ModelEntry`.

    The builder's parameters are the model's options; every one has a default. It returns the module with fresh weights.
    """
    return lambda builder: builder


def names(pattern: str = "*") -> tuple[str, ...]:
    """The names of the zoo that match a shell pattern ("resnet*"), in the order of the table."""
    return tuple(name for name in _table() if fnmatchcase(name, pattern))


def entry(name: str) -> ModelEntry:
    """The facts of one model. Raises UsageError for an unknown name, with the nearest known ones."""
    table = _table()
    if name not in table:
        near = get_close_matches(name, table, n=3)
        raise UsageError(
            f"there is no model '{name}'",
            why=f"the zoo has {len(table)} models: {', '.join(table)}",
            fix=(f"did you mean {' or '.join(repr(n) for n in near)}? " if near else "")
            + "your own network is given as my_file.py:make_model or model.pt2",
        )
    return table[name]


def build(name: str, *, seed: int = 0, **options: Any) -> nn.Module:
    """The network `name` in eval mode, its weights drawn from `seed`; torch's global generator is left as it was.

    options: the builder's own parameters, for example classes=100.
    Raises UsageError for an unknown name or option, MissingTool without torch.
    """
    found = entry(name)
    torch = require("torch", "torch")
    module, function = found.builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    known = inspect.signature(builder).parameters
    if unknown := [option for option in options if option not in known]:
        raise UsageError(
            f"model '{name}' has no option {', '.join(repr(option) for option in unknown)}",
            why=f"its options are {', '.join(known)}",
            fix="leave it out, or choose one of these",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = builder(**options)
    return network.eval()


@cache
def _table() -> dict[str, ModelEntry]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {model.name: model for file in files for model in _declared(file)}


def _declared(file: Path) -> Iterator[ModelEntry]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                facts = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
                assert isinstance(node, ast.FunctionDef)
                yield ModelEntry(
                    name=ast.literal_eval(call.args[0]), builder=f"{__package__}.{file.stem}:{node.name}", **facts
                )
