"""The methods that round weights, by name: which solver, for which target, and whether a descent follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Solver = Literal["nearest", "adaround", "gpfq", "spfq", "gptq"]
Rounding = Literal[
    "nearest",
    "descent",
    "adaround",
    "gpfq",
    "gpfq+descent",
    "spfq",
    "spfq+descent",
    "gptq",
    "gptq+descent",
    "gptq_corrected",
    "gptq_corrected+descent",
]

SOLVERS = frozenset({"gpfq", "spfq", "gptq"})
"""Solvers that go through the columns of a layer one after the other."""


@dataclass(frozen=True, slots=True)
class Method:
    """solver: what makes the integers; descends: coordinate descent goes on from them.

    mismatched: the target is what the float network's layer gives on its own inputs, X W, so that errors of the layers
    before are made good; else what its weights give on the inputs it really gets, X~ W.
    """

    solver: Solver
    descends: bool = False
    mismatched: bool = False

    @property
    def sees_samples(self) -> bool:
        """Whether samples must pass through the network."""
        return self.solver != "nearest" or self.descends


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "nearest": Method("nearest"),
        "descent": Method("nearest", descends=True),
        "adaround": Method("adaround", descends=True),
        "gpfq": Method("gpfq", mismatched=True),
        "gpfq+descent": Method("gpfq", descends=True, mismatched=True),
        "spfq": Method("spfq", mismatched=True),
        "spfq+descent": Method("spfq", descends=True, mismatched=True),
        "gptq": Method("gptq"),
        "gptq+descent": Method("gptq", descends=True),
        "gptq_corrected": Method("gptq", mismatched=True),
        "gptq_corrected+descent": Method("gptq", descends=True, mismatched=True),
    }
)
