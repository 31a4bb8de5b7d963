"""What executes a plan: compiled kernels where there is a compiler, else torch, else numpy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from arithmos.errors import UsageError
from arithmos.targets.engine.host import Product, numpy_product
from arithmos.targets.engine.library import PATHS, kernels
from arithmos.targets.engine.torch_product import torch_product


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """The compiled library, or None, and what computes sums of products that the library does not."""

    name: str
    library: ctypes.CDLL | None
    product: Product


def _compiled(path: str) -> Callable[[], Backend]:
    return lambda: Backend(path, kernels(path), numpy_product)


BACKENDS: dict[str, Callable[[], Backend]] = {
    **{path: _compiled(path) for path in PATHS},
    "torch": lambda: Backend("torch", None, torch_product("cpu", direct=True)),
    "cuda": lambda: Backend("cuda", None, torch_product("cuda", direct=False)),
    "numpy": lambda: Backend("numpy", None, numpy_product),
}
"""Every backend by name. "avx2" and "plain" are the kernels of lesser processors, which any processor can run."""

AUTOMATIC = ("native", "torch", "numpy")
"""The order in which "auto" tries them."""


@cache
def backend(name: str) -> Backend:
    """The backend of this name. Raises UsageError for an unknown one, MissingTool for one that is not there."""
    if name.startswith("cuda:"):
        return Backend(name, None, torch_product(name, direct=False))
    if name not in BACKENDS:
        raise UsageError(
            f"the engine has no backend '{name}'", why=f"it has auto, {', '.join(BACKENDS)}", fix="choose one of them"
        )
    return BACKENDS[name]()
