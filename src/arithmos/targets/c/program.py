"""A graph as the parts of a C program: steps, names, memory, functions, constant arrays."""

from __future__ import annotations

from dataclasses import dataclass

from arithmos.ir.graph import Graph
from arithmos.targets.c.emission import LOCALS, Function, Program, Table
from arithmos.targets.c.emitters import ANCHORS, EMIT
from arithmos.targets.c.identifier import identifiers
from arithmos.targets.c.scalar import SCALAR, VIEWS
from arithmos.targets.c.step import Step, steps
from arithmos.targets.c.storage import Memory, Storage, plan


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the program: the value, its name in C, where it lives."""

    value: str
    identifier: str
    storage: Storage


@dataclass(frozen=True, slots=True)
class Compiled:
    """Everything the files are written from. functions: by the value they compute."""

    graph: Graph
    name: str
    trace: bool
    steps: tuple[Step, ...]
    memory: Memory
    names: dict[str, str]
    functions: dict[str, Function]
    tables: tuple[Table, ...]
    constant_arrays: dict[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def stack_bytes(self) -> int:
        """The largest arrays on the stack of one function."""
        return max((function.stack_bytes for function in self.functions.values()), default=0)

    @property
    def scratch_bytes(self) -> int:
        """What the large arrays of any one function need."""
        return max((function.scratch_bytes for function in self.functions.values()), default=0)

    @property
    def static_bytes(self) -> int:
        """All memory that is not on the stack."""
        return self.memory.arena_bytes + self.scratch_bytes

    @property
    def observed(self) -> tuple[str, ...]:
        """The values a traced program reports, in order: inputs, then node outputs."""
        return (*self.graph.inputs, *(step.root.output for step in self.steps))


def compiled(graph: Graph, name: str = "network", *, trace: bool = False) -> Compiled:
    """The program for one sample; with `trace` every value is stored and reported, nothing is fused."""
    chosen = steps(graph, SCALAR, VIEWS, ANCHORS, fuse=not trace)
    memory = plan(graph, chosen, SCALAR)
    copied = [n for n in dict.fromkeys(graph.outputs) if memory.storages[n].kind != "output"]
    own = {f"{name}_{suffix}" for suffix in ("run", "observer", "value", "values")}
    names = identifiers([*graph.values, *(f"{n}.out" for n in copied)], LOCALS | own)
    program = Program(graph, memory, names)
    functions = {s.root.output: _function(program, s) for s in chosen if s.root.output not in memory.renamed}
    constant_arrays = {n: program.values(n).identifier for n in copied if n in graph.constants}
    inputs = tuple(Port(n, names[n], memory.storages[n]) for n in graph.inputs)
    outputs = tuple(
        Port(n, names[f"{n}.out" if n in copied else n], memory.storages[n]) for n in dict.fromkeys(graph.outputs)
    )
    return Compiled(
        graph,
        name,
        trace,
        chosen,
        memory,
        names,
        functions,
        tuple(program.tables.values()),
        constant_arrays,
        inputs,
        outputs,
    )


def _function(program: Program, step: Step) -> Function:
    function = Function(program, step)
    node = step.anchor or step.root
    EMIT[node.op](function, node)
    return function
