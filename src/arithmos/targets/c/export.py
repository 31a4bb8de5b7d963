"""Write the C program: header, source, a main that reads samples, golden values, a Makefile, a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from arithmos.atomic import expect
from arithmos.errors import UsageError
from arithmos.ir.border import admit, batch_size, named_inputs
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.targets.c.ctype import ctype_of, literal
from arithmos.targets.c.identifier import checked_name
from arithmos.targets.c.numerals import numerals
from arithmos.targets.c.program import Compiled, Port, compiled
from arithmos.targets.c.sample import batches, split
from arithmos.targets.c.source import header, quoted, source

FLAGS = "-std=c99 -O3 -Wall -Wextra -Wpedantic"

_MAKEFILE = """# make: builds the program; make test: builds it and runs its golden samples
CC ?= cc
CFLAGS ?= {flags}

{name}: main.c {name}.c {name}.h golden.h
\t$(CC) $(CFLAGS) main.c {name}.c -o $@

test: {name}
\t./{name} --self-test

.PHONY: test
"""

_README = """{name}: an exact integer network in portable C99, written by arithmos.

{name}.h   the constants and the one function, {name}_run: one sample in, its outputs out
{name}.c   one C function for each step of the network, in order
main.c   reads samples and prints outputs: `make && ./{name} FILE`; its first lines say how
golden.h   samples with the integers the arithmos interpreter gives for them: `make test`

In your own program, compile {name}.c and include {name}.h; nothing else is needed, not even a C library.
`-O3` and your processor's flags (such as `-march=native`) make it several times faster; no flag changes an integer.
Network {digest}.{trace}
"""

_TRACE_README = """

This program was exported with trace=True: it stores and reports every value of the network (`--trace` prints them),
so it is larger and slower than the one without; its outputs are the same."""

_TRACE_CODE = """
static void show(void *context, int value, const void *data)
{
    const ${name}_value *v = &${name}_values[value];
    int32_t at[${upper}_RANK] = {0};
    int axis;
    (void)context;
    printf("%s:", v->name);
    do {
        long place = 0;
        for (axis = 0; axis < v->rank; axis++)
            place += (long)at[axis] * v->stride[axis];
        printf(" %lld", (long long)element(data, v->bytes, v->is_signed, place));
        for (axis = v->rank - 1; axis >= 0 && ++at[axis] == v->extent[axis]; axis--)
            at[axis] = 0;
    } while (axis >= 0);
    printf("\\n");
}
"""


def export(
    graph: Graph,
    folder: Path,
    *,
    name: str = "network",
    trace: bool = False,
    golden: Any = None,
) -> None:
    """Write NAME.h, NAME.c, main.c, golden.h, Makefile and README.txt into an existing folder.

    name: the prefix of everything the program defines. trace: every value is stored and reported. golden: inputs whose
    outputs are embedded for --self-test; one seeded random sample by default. Raises UsageError for a bad name, golden
    inputs that do not fit, or an option there is not.
    """
    if not isinstance(trace, bool):
        raise UsageError(
            f"trace={trace} is neither true nor false",
            why="it decides whether every value is stored and reported",
            fix="give trace=true or trace=false",
        )
    made = compiled(graph, checked_name(name), trace=trace)
    inputs = admit(graph, random_inputs(graph, 1) if golden is None else named_inputs(graph, golden))
    mark = digest(graph)
    with (folder / f"{name}.h").open("wb") as file:
        file.writelines(header(made, mark))
    (folder / f"{name}.c").write_text(source(made))
    (folder / "main.c").write_text(_main(made))
    with (folder / "golden.h").open("wb") as file:
        file.writelines(_golden(made, inputs))
    expect(folder, [name])  # what `make` builds
    (folder / "Makefile").write_text(_MAKEFILE.format(name=name, flags=FLAGS))
    (folder / "README.txt").write_text(_README.format(name=name, digest=mark, trace=_TRACE_README if trace else ""))


def _main(made: Compiled) -> str:
    ports = [
        *((f"in{i}", port) for i, port in enumerate(made.inputs)),
        *((f"out{i}", port) for i, port in enumerate(made.outputs)),
    ]
    facts: dict[str, Any] = {"name": made.name, "upper": made.name.upper()}
    call = ", ".join(buffer for buffer, _ in ports)
    rows = [f"    {_row(made, buffer, port)}," for buffer, port in ports]
    usage = "[--binary] [--self-test] [FILE]"
    text = files("arithmos.targets.c").joinpath("template/main.c").read_text()
    return Template(text).substitute(
        facts,
        buffers="".join(f"static {ctype_of(p.storage.dtype)} {b}[{p.storage.layout.elements}];\n" for b, p in ports),
        inputs="\n".join(rows[: len(made.inputs)]),
        outputs="\n".join(rows[len(made.inputs) :]),
        run=f"{made.name}_run({call}{', 0, 0' if made.trace else ''})",
        run_main=f"{made.name}_run({call}{', trace ? show : 0, 0' if made.trace else ''})",
        usage=f"[--trace] {usage}" if made.trace else usage,
        trace_usage=f" *   {made.name} --trace [FILE]    print every value of the network too, before the outputs\n"
        if made.trace
        else "",
        trace_flag="trace = 0, " if made.trace else "",
        trace_code=Template(_TRACE_CODE).substitute(facts) if made.trace else "",
        trace_option='        else if (!strcmp(argv[i], "--trace"))\n            trace = 1;\n' if made.trace else "",
    )


def _row(made: Compiled, buffer: str, port: Port) -> str:
    interval, dtype = port.storage.range, port.storage.dtype
    kind = f"{dtype.itemsize}, {int(dtype.kind == 'i')}"
    golden = f"{made.name}_golden_{buffer}"
    span = f"{literal(interval.lo).text}, {literal(interval.hi).text}"
    return f'{{"{quoted(port.value)}", {buffer}, {golden}, {port.storage.layout.elements}, {kind}, {span}}}'


def _golden(made: Compiled, inputs: Mapping[str, np.ndarray]) -> list[bytes]:
    graph, where = made.graph, batches(made.graph).places
    outputs = evaluate(graph, inputs)
    counts = {batch_size(graph.values[name].shape, array.shape) for name, array in inputs.items()} - {None}
    n = counts.pop() if counts else 1
    assert n is not None
    pieces = [
        f"/* Inputs of {made.name} and what the arithmos interpreter computes from them, sample after sample. */\n"
        f"#include <stdint.h>\n\n#define {made.name.upper()}_GOLDEN_SAMPLES {n}\n".encode()
    ]
    given = [(f"in{i}", port, inputs[port.value]) for i, port in enumerate(made.inputs)]
    given += [(f"out{i}", port, outputs[port.value]) for i, port in enumerate(made.outputs)]
    for buffer, port, array in given:
        samples = split(np.asarray(array), where[port.value], n).astype(port.storage.dtype)
        ctype, identifier = ctype_of(port.storage.dtype), f"{made.name}_golden_{buffer}"
        pieces.append(f"\n/* {port.identifier} */\nstatic const {ctype} {identifier}[{samples.size}] = {{\n".encode())
        pieces += [*numerals(samples), b"};\n"]
    return pieces
