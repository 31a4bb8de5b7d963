"""The zoo's table: name -> facts and builder.

An architecture file imports torch at its top and decorates its builders with `@register(...)`, whose arguments are
literals. The table is read from the source of these files, so that listing the zoo neither needs torch nor waits for
it; a file is executed only when one of its models is built. The tests build every model and hold the facts against it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.data.datasets import find
from arithmos.train.data.preparation import NORMALISATIONS, Preparation

if TYPE_CHECKING:
    from torch import nn

Builder = TypeVar("Builder", bound=Callable[..., Any])

_PREFIXES = {"cifar10": "cifar_", "mnist": "mnist_", "digits": "digits_"}
"""What precedes an architecture's name in the form for a data set; some architectures have that form alone."""


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
    targets: tuple[str, ...]
    """Which targets run every integer op that it becomes with the default recipe."""
    options: Mapping[str, Any]
    """The builder's arguments that make this model of its family."""
    builder: str
    """"package.module:function", imported by `build`."""

    @property
    def architecture(self) -> str:
        """The name without the data set: "resnet50" of "cifar_resnet50"."""
        return self.name.removeprefix(_PREFIXES.get(self.dataset, ""))

    @property
    def preparation(self) -> Preparation:
        """`prepared` for the data set and input shape it was made for: what its weights expect."""
        return self.prepared()

    def prepared(self, dataset: str | None = None, size: int | None = None) -> Preparation:
        """How pictures of a data set become inputs of this model, `size` pixels a side (None: its own of each).

        The data set's preparation with the model's channels and normalisation; where the size is another than the data
        set's, the picture is resized in proportion: ImageNet's 256 and 224 become 342 and 299.
        """
        data = find(dataset or self.dataset)
        mean, std = NORMALISATIONS[self.normalisation]
        found = replace(data.preparation, channels=1 if self.input_shape[0] == 1 else 3, mean=mean, std=std)
        side = size or self.input_shape[-1]
        if side == data.size:
            return found
        short_side = round(side * found.short_side / found.crop) if found.crop else side
        return replace(found, short_side=short_side, crop=side)


def register(
    models: Mapping[str, tuple[int, int, Mapping[str, Any]]],
    *,
    dataset: str,
    input_shape: tuple[int, int, int],
    classes: int,
    normalisation: str,
    source: str,
    targets: tuple[str, ...],
) -> Callable[[Builder], Builder]:
    """Declare the function below as the builder of a family; the arguments are literals, see `ModelEntry`.

    models: name -> (parameters, MACs, the builder's arguments that make this one). The builder also takes `classes`;
    `size`, the side of the picture, if its weights depend on it; further options have defaults. It returns the module
    with fresh weights. One builder may stand under several declarations.
    """
    return lambda builder: builder


def names(pattern: str = "*") -> tuple[str, ...]:
    """The names of the zoo that match a shell pattern ("resnet*"), in the order of the table."""
    return tuple(name for name in _table() if fnmatchcase(name, pattern))


def entry(name: str) -> ModelEntry:
    """The facts of one model. Raises UsageError for an unknown name, with the nearest known ones.

    Capitals, hyphens and underscores do not count, and the data set may stand before or behind the architecture:
    "ResNet-50" is resnet50, "resnet50-cifar10" and "cifar10_resnet50" are cifar_resnet50.
    """
    found = _spellings().get(_squeezed(name))
    if found is None:
        table = _table()
        forms = [model.name for model in table.values() if _squeezed(model.architecture) == _squeezed(name)]
        near = forms or get_close_matches(name, table, n=3)
        raise UsageError(
            f"there is no model '{name}'",
            why=f"the zoo has {len(table)} models: {', '.join(table)}",
            fix=(f"did you mean {' or '.join(repr(n) for n in near)}? " if near else "")
            + "your own network is given as my_file.py:make_model or model.pt2",
        )
    return found


def is_known(name: str) -> bool:
    """Whether the name is a network's of the zoo, or an architecture's that has a form for some data set."""
    squeezed = _squeezed(name)
    return squeezed in _spellings() or any(_squeezed(model.architecture) == squeezed for model in _table().values())


def variant(name: str, dataset: str) -> str:
    """The registered name of an architecture's form for a data set: ("resnet50", "cifar10") is "cifar_resnet50".

    A name that says its data set is kept, and so is an architecture without a form for this data set. Raises UsageError
    as `entry` does.
    """
    forms = [m for m in _table().values() if m.dataset == dataset and _squeezed(m.architecture) == _squeezed(name)]
    return forms[0].name if forms else entry(name).name


def full_name(name: str) -> str:
    """A spelling that says the data set where `variant` might choose another: "imagenet_resnet50" of "resnet50"."""
    found = entry(name)
    others = [m for m in _table().values() if m.architecture == found.name and m.dataset != found.dataset]
    return f"{found.dataset}_{found.name}" if others else found.name


def build(name: str, *, seed: int = 0, size: int | None = None, **options: Any) -> nn.Module:
    """The network `name` in eval mode, its weights drawn from `seed`; torch's global generator is left as it was.

    size: side of the pictures it will see, where that is not the registered one. options: the builder's own
    parameters, for example classes=100. Raises UsageError for an unknown name or option, for a size whose values
    shrink to nothing on the way, and MissingTool without torch.
    """
    found = entry(name)
    torch = require("torch", "torch")
    module, function = found.builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    known = [option for option in inspect.signature(builder).parameters if option not in found.options]
    if unknown := [option for option in options if option not in known]:
        raise UsageError(
            f"model '{found.name}' has no option {', '.join(repr(option) for option in unknown)}",
            why=f"its options are {', '.join(known)}",
            fix="leave it out, or choose one of these",
        )
    arguments = {"classes": found.classes, **found.options, **options}
    if size is not None and size != found.input_shape[-1]:
        arguments |= {"size": size} if "size" in known else {}
        _check_size(found, size, lambda: builder(**arguments))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = builder(**arguments)
    return network.eval()


def _check_size(found: ModelEntry, size: int, make: Callable[[], nn.Module]) -> None:
    torch = require("torch", "torch")
    try:
        with torch.device("meta"), warnings.catch_warnings():  # shapes without arithmetic
            warnings.simplefilter("error", UserWarning)  # torch warns of a layer without weights, and goes on
            make().eval()(torch.empty(1, found.input_shape[0], size, size))
    except (RuntimeError, ValueError, UserWarning) as problem:
        raise UsageError(
            f"'{found.name}' cannot take pictures of {size}x{size} pixels",
            why=f"its layers make them smaller until nothing is left: {str(problem).splitlines()[0]}",
            fix=f"choose a larger size; it was made for {found.input_shape[-1]}",
        ) from problem


def _squeezed(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.lower())


@cache
def _table() -> dict[str, ModelEntry]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {model.name: model for file in files for model in _declared(file)}


@cache
def _spellings() -> dict[str, ModelEntry]:
    spellings: dict[str, ModelEntry] = {}
    for model in _table().values():
        for name in (model.name, f"{model.dataset}{model.architecture}", f"{model.architecture}{model.dataset}"):
            spellings.setdefault(_squeezed(name), model)
    return spellings


def _declared(file: Path) -> Iterator[ModelEntry]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                assert isinstance(node, ast.FunctionDef)
                shared = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
                builder = f"{__package__}.{file.stem}:{node.name}"
                for name, (parameters, macs, options) in ast.literal_eval(call.args[0]).items():
                    yield ModelEntry(
                        name=name, parameters=parameters, macs=macs, options=options, builder=builder, **shared
                    )
