"""The one family of exceptions a user can meet: what went wrong, where, why, and what to do about it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

_INDENT = " " * len("  why  ")


class ArithmosError(Exception):
    """Anything a user can cause. Any other exception that escapes is a defect of ours.

    what: one line. why, fix: one or more lines; a list of problems is one line each. where: the module path, source
    line, file or node concerned. All four stay readable as attributes; `exit_code` is what the command line returns.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, why: str, fix: str, where: str = "") -> None:
        self.what, self.why, self.fix, self.where = what, why, fix, where
        parts = [
            f"  {label:<3}  {_aligned(text)}" for label, text in (("at", where), ("why", why), ("fix", fix)) if text
        ]
        super().__init__("\n".join([what, *parts]))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles its positional arguments alone, so an error would die on its way out of a worker process.
        return _rebuilt, (type(self), self.what, self.why, self.fix, self.where)


class UsageError(ArithmosError):
    """Bad usage or bad input."""


class RangeError(ArithmosError):
    """A proven range does not fit."""


class RangeEscape(RangeError):
    """A value left the interval [-bound, bound] that a polynomial was made for.

    value_name: the value in the graph; image: its index among all images of the run; enough: a bound that would do for
    everything seen so far of that layer, infinite where that is nothing finite.
    """

    def __init__(self, value_name: str, *, where: str, image: int, value: float, bound: float, enough: float) -> None:
        self.value_name, self.image, self.value, self.bound, self.enough = value_name, image, value, bound, enough
        super().__init__(
            f"'{value_name}' of image {image} is {value:.6g}, outside [-{bound:.6g}, {bound:.6g}]",
            where=where,
            why="its polynomial is made for this interval and grows without bound outside it",
            fix=f"approximate with a bound of at least {enough:.6g} for this layer: a larger margin, B_relu or B_max"
            if math.isfinite(enough)
            else "give the layers before it larger bounds, or check the weights: the value is not finite",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {name: getattr(self, name) for name in ("where", "image", "value", "bound", "enough")}
        return _escaped, (self.value_name, parts)


class VerificationError(ArithmosError):
    """A verification or accuracy gate failed."""

    exit_code = 1


class TrainingError(ArithmosError):
    """A training that came to nothing: its loss is no number any more."""

    exit_code = 1


class MissingTool(ArithmosError):
    """An optional tool is not installed."""

    exit_code = 3


class UnsupportedNetwork(ArithmosError):
    """The network has nodes that cannot be handled."""

    exit_code = 4


class CompileError(ArithmosError):
    """The system compiler refused generated source: a compiler too old for a flag, or a defect of ours."""

    exit_code = 70


def _aligned(text: str) -> str:
    """Every line under the first; a text whose lines are indented for this already stays as it is."""
    lines = text.split("\n")
    return text if all(line.startswith(_INDENT) for line in lines[1:]) else f"\n{_INDENT}".join(lines)


def _escaped(value_name: str, parts: dict[str, Any]) -> RangeEscape:
    return RangeEscape(value_name, **parts)


def _rebuilt(cls: type[ArithmosError], what: str, why: str, fix: str, where: str) -> ArithmosError:
    return cls(what, why=why, fix=fix, where=where)
