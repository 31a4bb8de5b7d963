"""The one family of exceptions a user can meet: what went wrong, where, why, and what to do about it."""

from __future__ import annotations

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


def _rebuilt(cls: type[ArithmosError], what: str, why: str, fix: str, where: str) -> ArithmosError:
    return cls(what, why=why, fix=fix, where=where)
