"""arithmos: trained networks as exact integer arithmetic, every step measured, every runner equal on every value."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arithmos.evidence.verify import verify
    from arithmos.front.trace import trace
    from arithmos.ir.codec import load, save
    from arithmos.lower.approximate import approximate
    from arithmos.lower.calibrate import calibrate
    from arithmos.lower.quantize import quantize
    from arithmos.lower.recipe import Recipe
    from arithmos.targets.export import export
    from arithmos.targets.run import run

__version__ = "0.1.0"

__all__ = ["Recipe", "approximate", "calibrate", "export", "load", "quantize", "run", "save", "trace", "verify"]

# Each name is imported at its first use: `import arithmos` loads nothing, and never torch.
_HOMES = {
    "Recipe": "arithmos.lower.recipe",
    "approximate": "arithmos.lower.approximate",
    "calibrate": "arithmos.lower.calibrate",
    "export": "arithmos.targets.export",
    "load": "arithmos.ir.codec",
    "quantize": "arithmos.lower.quantize",
    "run": "arithmos.targets.run",
    "save": "arithmos.ir.codec",
    "trace": "arithmos.front.trace",
    "verify": "arithmos.evidence.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arithmos' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
