"""The text of NAME.h and NAME.c."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from arithmos.ir.border import format_shape
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.ir.show import format_scale
from arithmos.targets.c.ctype import ctype_of
from arithmos.targets.c.emission import MEMBERS
from arithmos.targets.c.identifier import comment, identifiers
from arithmos.targets.c.numerals import numerals
from arithmos.targets.c.program import Compiled, Port

HELPERS = {
    **{
        f"{name}{bits}": f"static inline int{bits}_t {name}{bits}(int{bits}_t a, int{bits}_t b)\n"
        f"{{\n    return a {sign} b ? a : b;\n}}\n"
        for bits in (32, 64)
        for name, sign in (("max", ">"), ("min", "<"))
    },
    **{
        f"clip{bits}": f"static inline int{bits}_t clip{bits}(int{bits}_t x, int{bits}_t lo, int{bits}_t hi)\n"
        "{\n    x = x < lo ? lo : x;\n    return x > hi ? hi : x;\n}\n"
        for bits in (32, 64)
    },
    **{
        f"floor_div{bits}": f"/* floor(a / b) for b > 0: C rounds towards zero */\n"
        f"static inline int{bits}_t floor_div{bits}(int{bits}_t a, int{bits}_t b)\n"
        "{\n    return a / b - (a % b < 0);\n}\n"
        for bits in (32, 64)
    },
    "isqrt64": """/* floor(sqrt(x)) for x >= 0, one bit of the root at a time */
static inline int64_t isqrt64(int64_t x)
{
    uint64_t rest = (uint64_t)x, root = 0, bit = (uint64_t)1 << 62;
    while (bit > rest)
        bit >>= 2;
    for (; bit != 0; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (int64_t)root;
}
""",
}

ASSUMED = """/* What C99 leaves open and this program relies on; it does not compile where one of them fails. */
typedef char {name}_needs_int_of_32_bits[sizeof(int) >= 4 ? 1 : -1];
typedef char {name}_needs_twos_complement[(-1 & 3) == 3 ? 1 : -1];
typedef char {name}_needs_shifts_that_keep_the_sign[(-5 >> 1) == -3 ? 1 : -1];
"""


def header(made: Compiled, digest: str) -> Iterator[bytes]:
    """NAME.h: what the network is, how to call it, and (for NAME.c alone) its weights; in pieces."""
    name, upper = made.name, made.name.upper()
    total = cost(made.graph)
    facts = [
        f"{name}: an exact integer network, one sample a call. Made by arithmos from the network",
        digest,
        "",
        *(_port("input", port, made.graph) for port in made.inputs),
        *(_port("output", port, made.graph) for port in made.outputs),
        "",
        "A real number is an integer times its scale. Arrays are in C order of the shapes; N is 1 here. Inputs",
        "must lie in their range: every type below was chosen because no sum, product or shift can leave it then.",
        "Rounding: floor((x * mul + 2^(shift-1)) / 2^shift), then clipped.",
        f"{len(made.graph.nodes)} nodes, {total.macs:,} multiply-accumulates, {total.parameters:,} parameters,",
        f"{sum(table.array.nbytes for table in made.tables):,} bytes of constants, "
        f"{made.static_bytes:,} bytes of static memory, {made.stack_bytes:,} bytes of stack.",
        f"Not reentrant: all calls of {name}_run share the static memory. No malloc, no floating point, no libraries.",
    ]
    macros = identifiers([port.identifier.upper() for port in (*made.inputs, *made.outputs)])
    lines = ["/*", *(f" * {comment(fact)}".rstrip() for fact in facts), " */"]
    lines += [f"#ifndef {upper}_H", f"#define {upper}_H", "", "#include <stdint.h>", ""]
    for port in (*made.inputs, *made.outputs):
        lines.append(f"#define {upper}_{macros[port.identifier.upper()]}_SIZE {port.storage.layout.elements}")
    lines += [
        f"#define {upper}_STATIC_BYTES {made.static_bytes}",
        f"#define {upper}_STACK_BYTES {made.stack_bytes}",
        "",
    ]
    lines += [*_trace_declarations(made), f"{_signature(made)};", "", f"#ifdef {upper}_WEIGHTS"]
    yield _text(lines)
    for table in made.tables:
        row = table.array.shape[-1] if table.array.ndim > 1 else 0
        head = f"static const {ctype_of(table.array.dtype)} {table.identifier}[{table.array.size}] = {{"
        yield _text(["", f"/* {comment(table.meaning)} */", head])
        yield from numerals(table.array, row)
        yield b"};\n"
    yield _text(["", f"#endif /* {upper}_WEIGHTS */", "", f"#endif /* {upper}_H */"])


def source(made: Compiled) -> str:
    """NAME.c: one function a step, and NAME_run that calls them in order."""
    functions = "\n".join(function.text() for function in made.functions.values())
    used = [text for name, text in HELPERS.items() if f"{name}(" in functions]
    lines = [
        f"/* The arithmetic of {made.name}; see {made.name}.h. */",
        f"#define {made.name.upper()}_WEIGHTS",
        f'#include "{made.name}.h"',
        "",
        ASSUMED.format(name=made.name),
    ]
    dtypes = sorted({s.dtype.name for s in made.memory.storages.values() if s.kind == "arena"}, key=list(MEMBERS).index)
    lines += _union(
        "arena", "Intermediate values; those that never live together share bytes.", dtypes, made.memory.arena_bytes
    )
    shared = [name for name in MEMBERS if f"scratch.{MEMBERS[name]} " in functions]
    lines += _union("scratch", "Large arrays of one function at a time.", shared, made.scratch_bytes)
    lines += [*used, functions]
    lines += [*_value_table(made), _signature(made), "{", *_calls(made), "}"]
    return "\n".join(lines) + "\n"


def _union(name: str, meaning: str, dtypes: Sequence[str], nbytes: int) -> list[str]:
    if not dtypes:
        return []
    members = [f"    {dtype}_t {MEMBERS[dtype]}[{nbytes // np.dtype(dtype).itemsize}];" for dtype in dtypes]
    return [f"/* {meaning} */", "static union {", *members, f"}} {name};", ""]


def _calls(made: Compiled) -> list[str]:
    pointers, calls = [], []
    storages = made.memory.storages
    number = {value: i for i, value in enumerate(made.observed)}

    def observed(value: str) -> list[str]:
        owner = made.names[storages[value].owner]
        return [f"    if (observe)\n        observe(context, {number[value]}, {owner});"] if made.trace else []

    for value in made.graph.inputs:
        calls += observed(value)
    for step in made.steps:
        value = step.root.output
        if value in made.memory.renamed:
            calls.append(f"    /* {comment(value)} is {comment(storages[value].owner)}: nothing moves */")
        else:
            storage, function = storages[value], made.functions[value]
            if storage.kind == "arena":
                place = f"arena.{MEMBERS[storage.dtype.name]} + {storage.start // storage.dtype.itemsize}"
                pointers.append(f"    {ctype_of(storage.dtype)} *const {made.names[value]} = {place};")
            calls.append(f"    {function.name}({', '.join(made.names[owner] for owner in function.order)});")
        calls += observed(value)
    for port in made.outputs:
        if port.storage.kind != "output":
            read = made.names[port.value] if port.storage.kind == "input" else made.constant_arrays[port.value]
            calls.append(f"    for (int i = 0; i < {port.storage.layout.elements}; i++)")
            calls.append(f"        {port.identifier}[i] = {read}[i];")
    used = {owner for function in made.functions.values() for owner in function.order}
    used |= {port.value for port in made.outputs} | (set(made.graph.inputs) if made.trace else set())
    unread = [f"    (void){port.identifier};" for port in made.inputs if port.value not in used]
    return [*pointers, "", *unread, *calls] if pointers else [*unread, *calls]


def _signature(made: Compiled) -> str:
    arguments = [f"const {ctype_of(p.storage.dtype)} {p.identifier}[{p.storage.layout.elements}]" for p in made.inputs]
    arguments += [f"{ctype_of(p.storage.dtype)} {p.identifier}[{p.storage.layout.elements}]" for p in made.outputs]
    if made.trace:
        arguments += [f"{made.name}_observer *observe", "void *context"]
    return f"void {made.name}_run({', '.join(arguments)})"


def _trace_declarations(made: Compiled) -> list[str]:
    if not made.trace:
        return []
    name, upper = made.name, made.name.upper()
    rank = max([1, *(len(made.memory.storages[value].layout.shape) for value in made.observed)])
    return [
        "/* Every value of the network is reported as soon as it is computed, before its memory is used again. */",
        f"#define {upper}_VALUES {len(made.observed)}",
        f"#define {upper}_RANK {rank}",
        "",
        "/* Element (i0, i1, ...) is number i0 * stride[0] + i1 * stride[1] + ... of the array. */",
        "typedef struct {",
        "    const char *name;",
        "    int bytes, is_signed, rank;",
        f"    int32_t extent[{upper}_RANK], stride[{upper}_RANK];",
        f"}} {name}_value;",
        "",
        f"extern const {name}_value {name}_values[{upper}_VALUES];",
        "",
        f"typedef void {name}_observer(void *context, int value, const void *data);",
        "",
    ]


def _value_table(made: Compiled) -> list[str]:
    if not made.trace:
        return []
    lines = [f"const {made.name}_value {made.name}_values[{made.name.upper()}_VALUES] = {{"]
    for value in made.observed:
        storage = made.memory.storages[value]
        shape, strides = storage.layout.shape or (1,), storage.layout.strides or (0,)
        kind = f"{storage.dtype.itemsize}, {int(storage.dtype.kind == 'i')}, {len(storage.layout.shape)}"
        extents, steps = ", ".join(map(str, shape)), ", ".join(map(str, strides))
        lines.append(f'    {{"{quoted(value)}", {kind}, {{{extents}}}, {{{steps}}}}},')
    return [*lines, "};", ""]


def _port(kind: str, port: Port, graph: Graph) -> str:
    value = graph.values[port.value]
    scale = f", scale {text}" if (text := format_scale(value.scale)) else ""
    shape = format_shape(value.shape) if port.value == port.identifier else f"{port.value} {format_shape(value.shape)}"
    return f"{kind} {port.identifier}: {shape} {ctype_of(port.storage.dtype)} in {value.range}{scale}"


def quoted(text: str) -> str:
    """The text inside a C string literal: ASCII, no quotes, no backslashes, no trigraphs."""
    return comment(text).replace("\\", "/").replace('"', "'")


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
