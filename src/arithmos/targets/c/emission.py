"""The C program while it is being written: one function a step, and the constant arrays the functions read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import Term, ctype_of, literal, narrowed, stored_dtype
from arithmos.targets.c.identifier import comment
from arithmos.targets.c.layout import Layout, Loop, aligned, index
from arithmos.targets.c.step import Step
from arithmos.targets.c.storage import Memory

LOCALS = frozenset(
    "acc arena best c channel clip32 clip64 column columns context data first floor_div32 floor_div64 g i index isqrt64 "
    "k max32 max64 min32 min64 n o observe p pixel row rows sum t tap tile v w weights".split()
)
"""Names the emitted functions use for themselves; values never get them. Numbered ones (i0, sum1, k2, y0, z0) join them."""

NUMBERED = frozenset(f"{stem}{number}" for stem in ("i", "k", "p", "r", "sum", "z") for number in range(16))


@dataclass(frozen=True, slots=True)
class Table:
    """A constant array of the header: what the graph's constant became."""

    identifier: str
    array: np.ndarray
    meaning: str


@dataclass(frozen=True, slots=True)
class Operand:
    """A value in memory as a function sees it: a pointer and where the elements lie."""

    pointer: str
    dtype: np.dtype
    layout: Layout
    range: Interval


class Program:
    """What all functions share: names, places, the constant arrays asked for so far. A class because it grows."""

    def __init__(self, graph: Graph, memory: Memory, names: Mapping[str, str]) -> None:
        self.graph, self.memory, self.names = graph, memory, names
        self.tables: dict[tuple[str, str], Table] = {}
        self._taken = set(names.values())

    def table(self, name: str, kind: str, make: Callable[[], np.ndarray], meaning: str) -> str:
        """The C array of the constant `name` in the form `kind`, made once; its identifier."""
        if (name, kind) not in self.tables:
            first = not any(known == name for known, _ in self.tables)
            identifier = self.names[name] if first else f"{self.names[name]}_{kind}"
            while not first and identifier in self._taken:
                identifier += "_"
            self._taken.add(identifier)
            array = make()
            interval = Interval(int(array.min()), int(array.max())) if array.size else Interval(0, 0)
            self.tables[name, kind] = Table(identifier, array.astype(stored_dtype(interval)), meaning)
        return self.tables[name, kind].identifier


class Function:
    """One C function while it is being written: its lines, its parameters, its arrays on the stack."""

    def __init__(self, program: Program, step: Step) -> None:
        self.program, self.step = program, step
        self.parameters: dict[str, str] = {}
        self.stack_bytes = 0
        self._lines: list[str] = []
        self._depth = 1

    @property
    def name(self) -> str:
        """The function's name."""
        return f"compute_{self.program.names[self.step.root.output]}"

    def line(self, text: str) -> None:
        """One line at the present depth."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head {`, what is written inside one deeper, `}`."""
        self.line(f"{head} {{" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    @contextmanager
    def loop(self, variable: str, count: int) -> Iterator[None]:
        """for (int variable = 0; variable < count; variable++)."""
        with self.block(f"for (int {variable} = 0; {variable} < {count}; {variable}++)"):
            yield

    def local(self, name: str, dtype: np.dtype, count: int, *, cleared: bool = False) -> None:
        """An array on the stack."""
        self.stack_bytes += count * dtype.itemsize
        self.line(f"{ctype_of(dtype)} {name}[{count}]{' = {0}' if cleared else ''};")

    def operand(self, name: str) -> Operand:
        """A value in memory; the first use makes its owner a parameter. A constant is the header's array."""
        storage = self.program.memory.storages[name]
        if storage.kind == "constant":
            array = self.program.graph.constants[storage.owner]
            pointer = self.program.table(storage.owner, "values", lambda: array, describe(self.program.graph, storage.owner))
        else:
            pointer = self.program.names[storage.owner]
            self.parameters.setdefault(storage.owner, f"const {ctype_of(storage.dtype)} *restrict {pointer}")
        return Operand(pointer, storage.dtype, storage.layout, storage.range)

    def target(self) -> Operand:
        """The memory of the value this function computes."""
        name = self.step.root.output
        storage = self.program.memory.storages[name]
        pointer = self.program.names[storage.owner]
        self.parameters[storage.owner] = f"{ctype_of(storage.dtype)} *restrict {pointer}"
        return Operand(pointer, storage.dtype, storage.layout, storage.range)

    def load(self, name: str, shape: tuple[int, ...], loops: Sequence[Loop]) -> Term:
        """The element of a value, broadcast to the shape, that the loops stand at; a constant of one number is a literal."""
        constant = self.program.graph.constants.get(name)
        if constant is not None and constant.size == 1:
            return literal(int(constant.ravel()[0]))
        operand = self.operand(name)
        return element(operand, aligned(operand.layout, shape), loops)

    def store(self, term: Term, loops: Sequence[Loop]) -> None:
        """The term as the element of the computed value that the loops stand at."""
        target = self.target()
        place = f"{target.pointer}[{index(target.layout, loops)}]"
        self.line(f"{place} = {narrowed(term, ctype_of(target.dtype)).text};")

    def text(self) -> str:
        """The whole function, with a comment that says what it computes."""
        graph = self.program.graph
        lines = [f" * {line}" for node in self.step.nodes for line in formula(graph, node)]
        # Parameters in the order of the graph: what is read first, what is written last.
        root = self.program.memory.storages[self.step.root.output].owner
        order = [p for owner, p in self.parameters.items() if owner != root] + [self.parameters[root]]
        head = [f"/*{lines[0][2:]}", *lines[1:]]
        head[-1] += " */"
        return "\n".join([*head, f"static void {self.name}({', '.join(order)})", "{", *self._lines, "}", ""])


def element(operand: Operand, layout: Layout, loops: Sequence[Loop]) -> Term:
    """operand[index of the loops in this layout]."""
    return Term(f"{operand.pointer}[{index(layout, loops)}]", operand.range, ctype_of(operand.dtype), True)


def describe(graph: Graph, name: str) -> str:
    """layer1.0.conv1.weight (16, 16, 3, 3)."""
    shape = graph.values[name].shape
    return f"{name} ({', '.join(map(str, shape))})" if shape else name


def formula(graph: Graph, node: Node) -> list[str]:
    """What a node computes, as comment lines: its equation, the range proven for it, where it comes from."""
    value = graph.values[node.output]
    shape = " x ".join(str(abs(extent)) for extent in value.shape) or "1"
    attrs = "".join(f", {key} {_plain(item)}" for key, item in node.attrs.items())
    lines = [comment(f"{node.output} = {node.op}({', '.join(node.inputs)}{attrs})"), f"  {shape} in {value.range}"]
    if str(value.source):
        lines[-1] += comment(f", from {value.source}")
    return lines


def _plain(item: object) -> str:
    if isinstance(item, tuple):
        return f"({', '.join(_plain(part) for part in item)})"
    return "none" if item is None else str(item)
