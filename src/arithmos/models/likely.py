"""Which network of the zoo a set of tensors was made for, by names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from arithmos.extras import require
from arithmos.models.registry import build, names

Shapes = Mapping[str, tuple[int, ...]]

COUNTER = "num_batches_tracked"
"""Batch norm's count of training batches: no arithmetic of inference reads it, and many files leave it out."""

_ENOUGH = 0.6


@dataclass(frozen=True, slots=True)
class Likeness:
    """A network of the zoo and the share of the tensors of both that agree; 1.0 is this network."""

    name: str
    share: float
    classes: int | None
    """How many classes the tensors are for, where that is the one difference."""


def likely(shapes: Shapes) -> Likeness | None:
    """The network of the zoo that agrees best, None where less than 0.6 agree.

    Every network is built on torch's meta device, which holds shapes and no numbers.
    """
    found = max((_likeness(shapes, name) for name in names()), key=lambda likeness: likeness.share)
    return found if found.share >= _ENOUGH else None


def agreement(stored: Shapes, expected: Shapes) -> float:
    """|names and shapes of both| / |names of either|; batch counters and the number of classes do not count."""
    names_of_either = {name for name in stored.keys() | expected.keys() if not name.endswith(COUNTER)}
    free = other_classes(stored, expected) is not None
    same = [n for n in names_of_either & stored.keys() & expected.keys() if free or stored[n] == expected[n]]
    return len(same) / max(len(names_of_either), 1)


def other_classes(stored: Shapes, expected: Shapes) -> tuple[int, int] | None:
    """(stored, expected) classes of two sets of one architecture, None if they are equal or differ elsewhere.

    The tensors that differ do so in their first extent alone, all from one number to one other.
    """
    differing = [(stored[name], shape) for name, shape in expected.items() if stored.get(name, shape) != shape]
    extents = {(a[:1], b[:1]) for a, b in differing}
    if len(extents) != 1 or any(a[1:] != b[1:] or not a for a, b in differing):
        return None
    ((a,), (b,)) = extents.pop()
    return a, b


def _likeness(given: Shapes, name: str) -> Likeness:
    known, skipped = _shapes(name)
    stored = {tensor: shape for tensor, shape in given.items() if not tensor.startswith(skipped)}
    classes = other_classes(stored, known)
    return Likeness(name, agreement(stored, known), classes[0] if classes else None)


@cache
def _shapes(name: str) -> tuple[Shapes, tuple[str, ...]]:
    """Shapes by name, without what only training reads, whose prefixes come second."""
    with require("torch", "torch").device("meta"):
        network = build(name)
    skipped: tuple[str, ...] = getattr(network, "training_only", ())
    state = {tensor: tuple(value.shape) for tensor, value in network.state_dict().items()}
    return {tensor: shape for tensor, shape in state.items() if not tensor.startswith(skipped)}, skipped
