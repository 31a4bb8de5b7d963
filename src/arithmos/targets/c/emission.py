"""The C program while it is being written: one function a step, and the constant arrays the functions read."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from arithmos.ir.graph import Graph, Node
from arithmos.ir.interval import Interval
from arithmos.targets.c.ctype import Term, ctype_of, literal, narrowed, stored_dtype
from arithmos.targets.c.identifier import comment
from arithmos.targets.c.layout import Layout, Loop, aligned, index, merged_axes, storage_order
from arithmos.targets.c.sample import sample_shape
from arithmos.targets.c.step import Step
from arithmos.targets.c.storage import ALIGNMENT, Memory

LOCALS = frozenset(
    re.findall(
        r"\w+",
        """acc arena best c channel clip32 clip64 column columns context data first floor_div32 floor_div64 g i
        index isqrt64 ix iy iz k kx ky kz max32 max64 min32 min64 n o observe ox oy oz p pixel
        row s scratch start sum t tile v w""",
    )
) | {f"{stem}{number}" for stem in ("i", "k", "o", "p", "sum") for number in range(16)}
"""Names the emitted functions use for themselves; values never get them."""

MEMBERS = {"uint8": "u8", "int8": "i8", "uint16": "u16", "int16": "i16", "int32": "i32", "int64": "i64"}
"""Types and their members in the unions that hold all memory."""

STACK_LIMIT = 1 << 14
"""Bytes of the largest array on the stack."""


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

    def table(self, name: str, kind: str, make: Callable[[], np.ndarray], meaning: str) -> Table:
        """The C array of the constant `name` in the form `kind`, made once."""
        if (name, kind) not in self.tables:
            identifier = self.names[name]
            if any(known == name for known, _ in self.tables) or "_" not in identifier:
                identifier += f"_{kind}"  # compilers know what exp or index is at file scope; no such name has a '_'
            while identifier in self._taken and identifier != self.names[name]:
                identifier += "_"
            self._taken.add(identifier)
            array = make()
            interval = Interval(int(array.min()), int(array.max())) if array.size else Interval(0, 0)
            self.tables[name, kind] = Table(identifier, array.astype(stored_dtype(interval)), meaning)
        return self.tables[name, kind]

    def values(self, name: str) -> Table:
        """The C array of a constant as it is."""
        return self.table(name, "values", lambda: self.graph.constants[name], describe(self.graph, name))


class Function:
    """One C function while it is being written: its lines, its parameters, its own arrays."""

    def __init__(self, program: Program, step: Step) -> None:
        self.program, self.step = program, step
        self.parameters: dict[str, str] = {}
        self.stack_bytes = self.scratch_bytes = 0
        self._lines: list[str] = []
        self._depth = 1

    @property
    def name(self) -> str:
        """The function's name."""
        return f"compute_{self.program.names[self.step.root.output]}"

    @property
    def order(self) -> list[str]:
        """The owners of its parameters: what is read, then what is written."""
        root = self.program.memory.storages[self.step.root.output].owner
        return [owner for owner in self.parameters if owner != root] + [root]

    def line(self, text: str) -> None:
        """One line at the present depth."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head {`, what is written inside one deeper, `}`; a loop over one statement has no braces."""
        if head == "else" and self._lines[-1].strip() == "}":
            self._lines.pop()
            head = "} else"
        self.line(f"{head} {{" if head else "{")
        start = len(self._lines)
        self._depth += 1
        yield
        self._depth -= 1
        if head.startswith("for") and len(self._lines) == start + 1:
            self._lines[start - 1] = self._lines[start - 1].removesuffix(" {")
        else:
            self.line("}")

    @contextmanager
    def loop(self, variable: str, count: int) -> Iterator[None]:
        """for (int variable = 0; variable < count; variable++)."""
        with self.block(f"for (int {variable} = 0; {variable} < {count}; {variable}++)"):
            yield

    @contextmanager
    def nest(self, layout: Layout, layouts: Iterable[Layout], stem: str = "i") -> Iterator[list[Loop]]:
        """Loops over all elements in the order of `layout`, neighbouring axes merged where all layouts allow."""
        loops = [
            Loop(f"{stem}{number}", axes)
            for number, axes in enumerate(merged_axes(storage_order(layout), [layout, *layouts]))
        ]
        with ExitStack() as stack:
            for loop in loops:
                stack.enter_context(self.loop(loop.variable, math.prod(layout.shape[axis] for axis in loop.axes)))
            yield loops

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one sample of a value."""
        return sample_shape(self.program.graph.values[name].shape)

    def local(self, name: str, dtype: np.dtype, count: int, *, cleared: bool = False) -> None:
        """An array of the function's own: on the stack, or in the scratch memory all functions share if it is large."""
        nbytes, ctype = count * dtype.itemsize, ctype_of(dtype)
        if nbytes <= STACK_LIMIT:
            self.stack_bytes += nbytes
            self.line(f"{ctype} {name}[{count}]{' = {0}' if cleared else ''};")
            return
        place = f"scratch.{MEMBERS[dtype.name]} + {self.scratch_bytes // dtype.itemsize}"
        self.scratch_bytes += -(-nbytes // ALIGNMENT) * ALIGNMENT
        self.line(f"{ctype} *restrict {name} = {place};")
        if cleared:
            with self.loop("i", count):
                self.line(f"{name}[i] = 0;")

    def operand(self, name: str) -> Operand:
        """A value in memory; the first use makes its owner a parameter. A constant is the header's array."""
        storage = self.program.memory.storages[name]
        if storage.kind == "constant":
            table = self.program.values(storage.owner)
            return Operand(table.identifier, table.array.dtype, storage.layout, storage.range)
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
        """The element of a value, broadcast to the shape, where the loops stand; a single constant is a literal."""
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
        arguments = ", ".join(self.parameters[owner] for owner in self.order)
        head = [f"/*{lines[0][2:]}", *lines[1:]]
        head[-1] += " */"
        return "\n".join([*head, f"static void {self.name}({arguments})", "{", *self._lines, "}", ""])


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
    equation = comment(f"{node.output} = {node.op}({', '.join(node.inputs)}{attrs})")
    fact = comment(f"{shape} in {value.range}" + (f", from {value.source}" if str(value.source) else ""))
    return [
        *textwrap.wrap(equation, 112, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False),
        f"  {fact}",
    ]


def _plain(item: object) -> str:
    if isinstance(item, tuple):
        return f"({', '.join(_plain(part) for part in item)})"
    return "none" if item is None else str(item)
