"""Verify: every value of every runner against the interpreter, by ==, on inputs chosen to make them differ."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from arithmos.errors import ArithmosError, MissingTool, UnsupportedNetwork, UsageError
from arithmos.evidence.compare import Comparison, Difference, compare, in_corpus, named_values, require_integers
from arithmos.evidence.corpus import BATCH_BYTES, Samples, batches, corpus
from arithmos.evidence.ties import count_ties
from arithmos.ir.border import to_integers
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.targets.target import Runner, find, names, preflight

RunPath = Literal["every value", "outputs"]
PATHS: tuple[RunPath, ...] = ("every value", "outputs")
"""A runner that shows every value takes other code than one that only has to give the outputs: both are compared."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was compared on one path of one target. `skipped` says why nothing was; then all counts are 0.

    hidden: the named values that the path has to show and the runner did not. error: why it was skipped, or what ended
    it half way; the other targets are compared all the same.
    """

    target: str
    path: RunPath
    values: int = 0
    of_values: int = 0
    elements: int = 0
    samples: int = 0
    wall_s: float = 0.0
    different_elements: int = 0
    first: Difference | None = None
    skipped: str = ""
    hidden: tuple[str, ...] = ()
    error: ArithmosError | None = None

    @property
    def result(self) -> str:
        """`equal`, `different`, `incomplete` (a value was not shown), `empty` (nothing was compared), `failed` (the
        runner ended with an error) or `skipped`."""
        if self.skipped or self.first:
            return "skipped" if self.skipped else "different"
        if self.error:
            return "failed"
        return "incomplete" if self.hidden else "equal" if self.elements else "empty"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of a verification; as text, a table.

    ok: every path of every target that ran showed all its values, some elements at least, and nothing differs. Targets
    that could not run are in `skipped` and in the table, and are no part of `ok`: whoever needs them asks for both.
    """

    rows: tuple[Row, ...]
    samples: dict[str, int]
    ties: int
    """Roundings that were exact ties in the interpreter's run."""
    interpreter_s: float
    order: dict[str, int] = field(repr=False)
    """Position of each value in graph order."""
    accumulators: int = 0
    """Of the elements of every value, how many are sums of products: of conv, linear or matmul."""

    @property
    def ok(self) -> bool:
        """Whether at least one target was compared, and all that ran are equal, whole and not empty."""
        return {row.result for row in self.rows} - {"skipped"} == {"equal"}

    @property
    def skipped(self) -> tuple[str, ...]:
        """Targets that were not compared."""
        return tuple(dict.fromkeys(row.target for row in self.rows if row.skipped))

    @property
    def first_difference(self) -> Difference | None:
        """The difference that comes first in the network, over all targets and samples."""
        found = [row.first for row in self.rows if row.first]
        return min(found, key=lambda d: self.order[d.value], default=None)

    def __str__(self) -> str:
        header = ("target", "path", "values", "elements", "samples", "seconds", "result")
        table = [header, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(header))]
        lines = [_aligned(line, widths) for line in table]
        lines += [f"{row.target}, {row.path}: {row.first}" for row in self.rows if row.first]
        lines += [f"{row.target}, {row.path}: does not show {_listed(row.hidden)}" for row in self.rows if row.hidden]
        lines += [f"{row.target}, {row.path}: no element was compared" for row in self.rows if row.result == "empty"]
        lines += [f"{row.target}, {row.path}: {row.error.what}" for row in self.rows if row.error and not row.skipped]
        lines += [f"{name} was not compared: {why}" for name, why in _reasons(self.rows).items()]
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.samples.items())
        sums = f"; {self.accumulators:,} elements are accumulators" if self.accumulators else ""
        lines.append(f"samples: {kinds}; {self.ties:,} roundings were exact ties{sums}")
        return "\n".join(lines)


def verify(
    graph: Graph,
    inputs: Any = None,
    targets: str | Sequence[str] = ("engine", "onnx", "c"),
    *,
    uniform: int = 32,
    corners: int = 16,
    ties: int = 16,
    seed: int = 0,
    batch_bytes: int = BATCH_BYTES,
) -> Check:
    """Run the network on inputs, random integers, corners and rounding ties, everywhere; compare every value with ==.

    inputs: as ar.run takes them (images or integers), or None. Memory: the values of one batch, batch_bytes for the
    interpreter's and less for each runner's. Raises UsageError for a float graph, no or an unknown target, or inputs
    that do not fit. A target that lacks a tool or an op, or ends with an error, is a row with the reason.
    """
    require_integers(graph, "verified")
    chosen = [targets] if isinstance(targets, str) else list(dict.fromkeys(targets or ()))
    if not chosen:
        raise UsageError(
            "there is nothing to compare the interpreter with",
            why="no target is named",
            fix=f"name some of {', '.join(names())}",
        )
    for name in chosen:
        find(name)
    given = None if inputs is None else to_integers(graph, inputs)
    samples = corpus(graph, given, uniform=uniform, corners=corners, ties=ties, seed=seed)
    return against(graph, reference_runs(graph, samples, batch_bytes), chosen)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A batch and every value that the interpreter computes from it."""

    kind: str
    n: int
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    wall_s: float


def reference_runs(graph: Graph, samples: Iterable[Samples], batch_bytes: int = BATCH_BYTES) -> Iterator[Run]:
    """The interpreter's run of every batch, made when it is asked for."""
    for part in samples:
        for n, batch in batches(graph, part, batch_bytes):
            clock = time.perf_counter()
            expected = evaluate(graph, batch, every=True)
            yield Run(part.kind, n, batch, expected, time.perf_counter() - clock)


def against(executed: Graph, runs: Iterable[Run], targets: Sequence[str]) -> Check:
    """The targets run `executed`: the graph that the interpreter ran, or a mutant of it, which must be noticed."""
    order = {name: i for i, name in enumerate(named_values(executed))}
    started = [pair for name in targets for pair in _started(executed, name)]
    rows, runners = [row for row, _ in started], [runner for _, runner in started]
    counts: dict[str, int] = {}
    before = n_ties = 0
    interpreter_s = 0.0
    for run in runs:
        n_ties += sum(count_ties(executed, run.expected).values())
        for i, runner in enumerate(runners):
            if runner is not None:
                try:
                    found, hidden, wall_s = _compared(executed, rows[i], runner, run)
                except ArithmosError as error:
                    rows[i], runners[i] = replace(rows[i], error=error), None
                    continue
                here = None if found.first is None else in_corpus(executed, found.first, before)
                rows[i] = replace(_added(rows[i], found, here, run.n, wall_s, order), hidden=hidden)
        before += run.n
        counts[run.kind] = counts.get(run.kind, 0) + run.n
        interpreter_s += run.wall_s
    return Check(tuple(rows), counts, n_ties, interpreter_s, order, _accumulators(executed) * before)


def _accumulators(graph: Graph) -> int:
    sums = [graph.values[node.output].shape for node in graph.nodes if node.op in ("conv", "linear", "matmul")]
    return sum(abs(math.prod(shape)) for shape in sums)


def _started(graph: Graph, target: str) -> list[tuple[Row, Runner | None]]:
    """Each path of a target with its runner; without one, and with the reason, where the target cannot run."""
    found = find(target)
    try:
        preflight(graph, found)
        runners = [found.prepare(graph, path == "every value") for path in PATHS]
    except (MissingTool, UnsupportedNetwork) as error:
        why = f"{error.why}: {error.fix}" if isinstance(error, MissingTool) else error.why
        return [(Row(target, path, skipped=why, error=error), None) for path in PATHS]
    except ArithmosError as error:
        return [(Row(target, path, error=error), None) for path in PATHS]
    every, outputs = named_values(graph), dict.fromkeys(graph.outputs)
    rows = [Row(target, path, of_values=len(every if path == "every value" else outputs)) for path in PATHS]
    return list(zip(rows, runners, strict=True))


def _compared(graph: Graph, row: Row, runner: Runner, run: Run) -> tuple[Comparison, tuple[str, ...], float]:
    """What the runner shows against what is expected; the values of its path that no batch may lack, and it did."""
    clock = time.perf_counter()
    actual = runner(run.inputs)
    wall_s = time.perf_counter() - clock
    unknown = [name for name in actual if name not in run.expected]
    assert not unknown, f"'{row.target}' shows the unknown values {unknown}"
    wanted = named_values(graph) if row.path == "every value" else graph.outputs
    lacking = {name for name in wanted if name not in actual} | set(row.hidden)
    return compare(graph, run.expected, actual), tuple(n for n in named_values(graph) if n in lacking), wall_s


def _added(row: Row, found: Comparison, here: Difference | None, n: int, wall_s: float, order: dict[str, int]) -> Row:
    first = min((d for d in (row.first, here) if d), key=lambda d: order[d.value], default=None)
    return replace(
        row,
        values=found.values,
        elements=row.elements + found.elements,
        samples=row.samples + n,
        wall_s=row.wall_s + wall_s,
        different_elements=row.different_elements + found.different_elements,
        first=first,
    )


def _cells(row: Row) -> tuple[str, ...]:
    if row.skipped:
        return (row.target, row.path, "", "", "", "", "skipped")
    result = row.result if row.first is None else f"{row.different_elements:,} elements differ"
    counts = (f"{row.values}/{row.of_values}", f"{row.elements:,}", f"{row.samples:,}")
    return (row.target, row.path, *counts, f"{row.wall_s:.2f}", result)


def _listed(names: tuple[str, ...], at_most: int = 5) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    left = (0, 1, 6)
    return "  ".join(
        cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _reasons(rows: Iterable[Row]) -> dict[str, str]:
    return {row.target: row.skipped for row in rows if row.skipped}
