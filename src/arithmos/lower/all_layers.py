"""Weight bits of all layers, first and last ones included, as an override of every node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALL = "*"

Overrides = Mapping[str, Mapping[str, Any]]


def of_all_layers(bits: int, overrides: Overrides) -> dict[str, dict[str, Any]]:
    """The overrides with these weight bits of every node.

    The table of "*" comes first and keeps its other fields: what is said of single layers goes before it. As an
    override it goes before edge_bits.
    """
    single = {glob: dict(chosen) for glob, chosen in overrides.items() if glob != ALL}
    return {ALL: {**overrides.get(ALL, {}), "weight_bits": bits}, **single}
