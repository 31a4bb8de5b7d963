"""What a target is, which there are, and the preflight that lists everything one of them cannot run."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.ir.graph import Graph, Node

Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""inputs (integers in the narrowest type of their range, batch first) -> {value name: integers in any integer type}."""

Stream = Callable[[Graph, Mapping[str, np.ndarray]], Iterator[tuple[str, np.ndarray]]]
"""(graph, inputs as a Runner takes them) -> every value in graph order, inputs first; no array changes later."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way to execute an integer graph.

    ops: the coverage table: the ops it has. refuse(graph, node) -> why it cannot run this node, "" if it can (widths,
    ranks; the ops are checked already). prepare(graph, every) -> Runner that returns the outputs, or every value it
    can show. export(graph, folder, **options) writes files into an existing empty folder; None if there is nothing to
    write. extra: the extra that installs what `prepare` needs, "" if nothing. stream yields each value when it is
    computed and forgets it after its last reader; None where a target computes all of them first.
    """

    name: str
    summary: str
    ops: Collection[str]
    prepare: Callable[[Graph, bool], Runner]
    export: Callable[..., None] | None = None
    refuse: Callable[[Graph, Node], str] = lambda graph, node: ""
    extra: str = ""
    stream: Stream | None = None


BUILT_IN = {
    "interpreter": "arithmos.targets.interpreter:TARGET",
    "engine": "arithmos.targets.engine:TARGET",
    "onnx": "arithmos.targets.onnx:TARGET",
    "c": "arithmos.targets.c:TARGET",
    "zk": "arithmos.targets.zk:TARGET",
    "ezkl": "arithmos.targets.ezkl:TARGET",
    "zkcnn": "arithmos.targets.zkcnn:TARGET",
}


def names() -> list[str]:
    """Every target that can be named: ours, and what other packages register as entry points arithmos.targets."""
    return [*BUILT_IN, *sorted({e.name for e in entry_points(group="arithmos.targets")} - set(BUILT_IN))]


def find(name: str) -> Target:
    """The target of this name; "engine@cuda" is target engine on that device.

    Raises UsageError with the closest name for an unknown one, and for a device that cannot be had.
    """
    base, at, device = str(name).partition("@")
    if base in BUILT_IN:
        path, attribute = BUILT_IN[base].split(":")
        module = importlib.import_module(path)
        target: Any = getattr(module, attribute)
    else:
        foreign = [e for e in entry_points(group="arithmos.targets") if e.name == base]
        if not foreign:
            close = difflib.get_close_matches(base, names(), n=1)
            raise UsageError(
                f"there is no target '{name}'",
                why=f"the targets are {', '.join(names())}",
                fix=f"did you mean '{close[0]}'?" if close else "choose one of them",
            )
        module, target = None, foreign[0].load()
    assert isinstance(target, Target)
    return _on_device(target, getattr(module, "on_device", None), device) if at else target


def _on_device(target: Target, choose: Callable[[str], Target] | None, device: str) -> Target:
    if choose is None:
        raise UsageError(
            f"target '{target.name}' has no devices",
            why="it runs on the processor; target engine runs on others too",
            fix=f"leave the device out, or name engine@{device}",
        )
    return choose(device)


def preflight(graph: Graph, target: Target) -> None:
    """Raise UnsupportedNetwork with every node the target cannot run, each with its source."""
    if graph.op_set != "int":
        raise UnsupportedNetwork(
            f"target '{target.name}' runs integers",
            why=f"this is a {'network of polynomials' if graph.op_set == 'poly' else 'float graph'}",
            fix="quantize the trained network: `arithmos quantize`, ar.quantize; target 'clear' runs real numbers",
        )
    problems = []
    for node in graph.nodes:
        why = "" if node.op in target.ops else f"'{target.name}' has no '{node.op}'"
        why = why or target.refuse(graph, node)
        if why:
            problems.append(
                f"{node.output}: {why}" + (f", from {s}" if (s := str(graph.values[node.output].source)) else "")
            )
    if problems:
        n = len(graph.nodes)
        raise UnsupportedNetwork(
            f"target '{target.name}' cannot run {len(problems)} of {n} node{'s' * (n > 1)}",
            why="\n       ".join(problems),
            fix="choose another target, or quantize the network so that these nodes do not arise",
        )


def write(graph: Graph, target: Target, folder: Path, **options: Any) -> None:
    """Write the target's files into an existing folder. Raises UsageError for a target without files or this option."""
    if target.export is None:
        raise UsageError(
            f"target '{target.name}' has no files to export",
            why="it executes the bundle as it is",
            fix="export to one of: " + ", ".join(n for n in names() if find(n).export is not None),
        )
    preflight(graph, target)
    known = options_of(target)
    if unknown := [name for name in options if name not in known]:
        raise UsageError(
            f"target '{target.name}' has no option {', '.join(unknown)}",
            why=f"its options are {', '.join(known) or 'none'}",
            fix="leave it out, or choose one of them",
        )
    target.export(graph, folder, **options)


def options_of(target: Target) -> list[str]:
    """The names of the options that its export takes."""
    parameters = inspect.signature(target.export).parameters.values() if target.export else ()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
