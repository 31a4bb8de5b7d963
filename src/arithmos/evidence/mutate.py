"""Mutation: the smallest change to one constant of a copy of the network must be noticed: so verify can fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arithmos.errors import ArithmosError
from arithmos.evidence.compare import compare, require_integers
from arithmos.evidence.corpus import corpus
from arithmos.evidence.verify import Run, against, reference_runs
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Node
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops import INT

CONSTANTS: dict[tuple[str, int], str] = {
    ("conv", 1): "weight",
    ("linear", 1): "weight",
    ("matmul", 1): "weight",
    ("gather", 0): "weight",
    ("conv", 2): "bias",
    ("linear", 2): "bias",
    ("table", 1): "table entry",
    ("requantize", 1): "multiplier",
    ("mul", 0): "multiplier",
    ("mul", 1): "multiplier",
    ("add", 0): "bias",
    ("add", 1): "bias",
}
"""(op, number of the input) -> what a constant there is."""

ATTRIBUTES: dict[tuple[str, str], str] = {
    ("requantize", "shift"): "shift",
    ("requantize", "lo"): "clamp",
    ("requantize", "hi"): "clamp",
    ("clip", "lo"): "clamp",
    ("clip", "hi"): "clamp",
    ("table", "offset"): "offset",
}
"""(op, attribute) -> what it is."""

ATTEMPTS = 40
"""Mutants of one kind that are drawn before it is given up to find one more that can be seen."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One number of one node changed by the smallest step. constant: its name, or "" for an attribute."""

    kind: str
    node: str
    constant: str
    attribute: str
    index: tuple[int, ...]
    before: int
    after: int

    def __str__(self) -> str:
        place = (
            f"{self.constant}[{', '.join(map(str, self.index))}]" if self.constant else f"{self.node}.{self.attribute}"
        )
        return f"{self.kind} {place}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class MutationRow:
    """Mutants of one kind.

    refused: the builder's proof of ranges already rejects them. equivalent: no value of any sample changes, so nothing
    could be noticed (a weight whose input is always 0, an entry that no sample reads, a clamp that is never reached).
    caught: noticed by every target; missed: those that were not, with the target's name. not_run: they could be seen,
    but no target ran them.
    """

    kind: str
    refused: int = 0
    equivalent: int = 0
    caught: int = 0
    missed: tuple[str, ...] = ()
    not_run: int = 0

    @property
    def unproven(self) -> bool:
        """Whether some mutant could be seen and none was caught: nothing shows that this kind is compared at all."""
        return not self.caught and bool(self.missed or self.not_run)


@dataclass(frozen=True, slots=True)
class MutationReport:
    """What became of every mutant, kind by kind; as text, a table."""

    rows: tuple[MutationRow, ...]
    targets: tuple[str, ...]
    samples: int
    skipped: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Some mutant was caught, none was missed, and every kind was caught of which a mutant could be seen."""
        return any(row.caught for row in self.rows) and not any(row.missed or row.unproven for row in self.rows)

    @property
    def never_caught(self) -> tuple[str, ...]:
        """The kinds of which no mutant was caught, be it that none can be seen."""
        return tuple(row.kind for row in self.rows if not row.caught)

    def __str__(self) -> str:
        lines = [f"{'mutant':<12}  caught  missed  equivalent  refused"]
        lines += [
            f"{row.kind:<12}  {row.caught:>6}  {len(row.missed):>6}  {row.equivalent:>10}  {row.refused:>7}"
            for row in self.rows
        ]
        lines += [f"missed: {text}" for row in self.rows for text in row.missed]
        lines += [f"{row.kind} was never caught: {_why(row)}" for row in self.rows if not row.caught]
        lines += [f"{name} was not run" for name in self.skipped]
        lines.append(f"{self.samples} samples on {', '.join(self.targets)}; equivalent: no value of any sample changes")
        return "\n".join(lines)


def _why(row: MutationRow) -> str:
    if row.unproven:
        return "its mutants can be seen" + (", no target ran them" if row.not_run else "")
    return f"none of {row.refused + row.equivalent} mutants can be seen"


def mutate(
    graph: Graph,
    inputs: Any = None,
    targets: Sequence[str] = ("engine",),
    *,
    each: int = 2,
    seed: int = 0,
    uniform: int = 4,
    corners: int = 2,
    ties: int = 2,
) -> MutationReport:
    """Mutants that change some value are run by the targets and compared with the interpreter's run of the original.

    each: how many mutants that can be seen are wanted of every kind. A mutant counts as caught if every target that ran
    differs from the original on its every-value path, and on its outputs wherever the mutant's outputs differ at all.
    The samples are few, and all values of them are held at once. Raises UsageError for a float graph.
    """
    require_integers(graph, "mutated")
    given = None if inputs is None else admit(graph, named_inputs(graph, inputs))
    rng = np.random.default_rng(seed)
    samples = corpus(graph, given, uniform=uniform, corners=corners, ties=ties, seed=seed)
    runs = list(reference_runs(graph, samples))
    rows, skipped = [], set[str]()
    for kind in dict.fromkeys((*CONSTANTS.values(), *ATTRIBUTES.values())):
        sites = [site for site in _sites(graph) if site[0] == kind]
        if sites:
            row, missing = _of_kind(graph, kind, sites, runs, targets, each, rng)
            rows.append(row)
            skipped |= missing
    return MutationReport(tuple(rows), tuple(targets), sum(s.n for s in samples), tuple(sorted(skipped)))


def apply(graph: Graph, mutation: Mutation) -> Graph:
    """The mutant, built anew: every range is proven again. Raises RangeError or UnsupportedNetwork where that fails."""
    builder = Builder(graph.op_set)
    for name in graph.inputs:
        value = graph.values[name]
        builder.input(name, value.shape, value.range, value.scale, value.source)
    for name, array in graph.constants.items():
        if name == mutation.constant:
            array = array.astype(np.int64)
            array[mutation.index] = mutation.after
        builder.constant(name, array, graph.values[name].scale, graph.values[name].source)
    for node in graph.nodes:
        value, attrs = graph.values[node.output], dict(node.attrs)
        if node.output == mutation.node and mutation.attribute:
            attrs[mutation.attribute] = mutation.after
        builder.add(node.op, *node.inputs, name=node.output, scale=value.scale, source=value.source, **attrs)
    return builder.graph(*graph.outputs)


Site = tuple[str, Node, str, str]
"""(kind, node, constant or "", attribute or "")."""


def _sites(graph: Graph) -> Iterator[Site]:
    for node in graph.nodes:
        for number, name in enumerate(node.inputs):
            if name in graph.constants and (node.op, number) in CONSTANTS:
                yield CONSTANTS[node.op, number], node, name, ""
        for attribute, number in node.attrs.items():
            if (node.op, attribute) in ATTRIBUTES and number is not None:
                yield ATTRIBUTES[node.op, attribute], node, "", attribute


def _draw(graph: Graph, site: Site, rng: np.random.Generator) -> Mutation:
    """The lowest bit of a constant flipped; an attribute one more or one less."""
    kind, node, constant, attribute = site
    if constant:
        array = graph.constants[constant]
        index = tuple(int(rng.integers(extent)) for extent in array.shape)
        return Mutation(kind, node.output, constant, "", index, int(array[index]), int(array[index]) ^ 1)
    before = int(node.attrs[attribute])
    return Mutation(kind, node.output, "", attribute, (), before, before + int(rng.choice([-1, 1])))


def _of_kind(
    graph: Graph,
    kind: str,
    sites: list[Site],
    runs: list[Run],
    targets: Sequence[str],
    each: int,
    rng: np.random.Generator,
) -> tuple[MutationRow, set[str]]:
    row, skipped, tried = MutationRow(kind), set[str](), set[Mutation]()
    for _ in range(ATTEMPTS):
        if row.caught + len(row.missed) >= each:
            break
        mutation = _draw(graph, sites[int(rng.integers(len(sites)))], rng)
        if mutation in tried:
            continue
        tried.add(mutation)
        try:
            mutant = apply(graph, mutation)
        except ArithmosError:
            row = replace(row, refused=row.refused + 1)
            continue
        if not any(_visible(graph, mutant, mutation, run.expected) for run in runs):
            row = replace(row, equivalent=row.equivalent + 1)
            continue
        missed, missing = _unnoticed(graph, mutant, runs, targets)
        skipped |= missing
        row = replace(row, missed=(*row.missed, *(f"{mutation} by {name}" for name in missed)))
        if len(missing) == len(set(targets)):
            row = replace(row, not_run=row.not_run + 1)
            break
        if not missed:
            row = replace(row, caught=row.caught + 1)
    return row, skipped


def _visible(graph: Graph, mutant: Graph, mutation: Mutation, run: Mapping[str, np.ndarray]) -> bool:
    """Whether a node that reads the changed number has another result on the original's inputs of it."""
    for old, new in zip(graph.nodes, mutant.nodes, strict=True):
        if new.output == mutation.node or (mutation.constant and mutation.constant in new.inputs):
            arrays = [run[n] if n in run else mutant.constants[n].astype(np.int64) for n in new.inputs]
            if not np.array_equal(INT[new.op].run(*arrays, **new.attrs), run[old.output]):
                return True
    return False


def _unnoticed(graph: Graph, mutant: Graph, runs: list[Run], targets: Sequence[str]) -> tuple[list[str], set[str]]:
    """(targets that a mutant escapes, with the path; targets that could not run)."""
    changed = any(
        compare(graph, {n: run.expected[n] for n in graph.outputs}, evaluate(mutant, run.inputs)).first for run in runs
    )
    check = against(mutant, runs, targets)
    if failed := next((row.error for row in check.rows if row.result == "failed"), None):
        raise failed
    must_differ = [row for row in check.rows if not row.skipped and (row.path == "every value" or changed)]
    return [f"{row.target} ({row.path})" for row in must_differ if row.first is None], set(check.skipped)
