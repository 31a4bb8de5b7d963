"""Run the generated C: compiled by the system compiler, a batch as a loop over samples inside the library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np

from arithmos.ir.border import batch_size
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.native import compile_library
from arithmos.targets.c.program import Compiled, compiled
from arithmos.targets.c.sample import batches, join, split
from arithmos.targets.c.source import header, source
from arithmos.targets.target import Runner

LOCK = Lock()
"""One for all: two runners of one network share a library, and its memory is static."""

FLAGS = ("-std=c99", "-O3", "-march=native")

_LOOP = """
#include <stddef.h>

void {name}_batch(int64_t n, void *const *restrict ports)
{{
    for (int64_t s = 0; s < n; s++)
        {name}_run({arguments});
}}
"""

_TRACED_LOOP = """
#include <stddef.h>
#include <string.h>

struct kept {{
    char *const *values;
    const int64_t *bytes;
    int64_t sample;
}};

static void keep(void *context, int value, const void *data)
{{
    const struct kept *kept = context;
    memcpy(kept->values[value] + kept->sample * kept->bytes[value], data, (size_t)kept->bytes[value]);
}}

void {name}_batch(int64_t n, void *const *restrict ports, char *const *values, const int64_t *bytes)
{{
    for (int64_t s = 0; s < n; s++) {{
        struct kept kept = {{values, bytes, s}};
        {name}_run({arguments}, keep, &kept);
    }}
}}
"""


def prepare(graph: Graph, every: bool, *, flags: Sequence[str] = FLAGS) -> Runner:
    """The runner: outputs of the fused program, or every value of the program that stores them all.

    flags: for the compiler; none changes an integer.
    Raises MissingTool without a C compiler. Calls from several threads wait for each other.
    """
    made = compiled(graph, trace=every)
    library = compile_library(whole(made), flags=flags, headers={f"{made.name}.h": head(made)})
    call = getattr(library, f"{made.name}_batch")
    call.restype = None

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with LOCK:
            return _run(made, call, inputs)

    return run


def whole(made: Compiled) -> str:
    """NAME.c and a loop over the samples behind it."""
    ports = (*made.inputs, *made.outputs)
    arguments = []
    for i, port in enumerate(ports):
        kind = f"const {port.storage.dtype.name}_t" if i < len(made.inputs) else f"{port.storage.dtype.name}_t"
        arguments.append(f"({kind} *)ports[{i}] + s * {port.storage.layout.elements}")
    return source(made) + (_TRACED_LOOP if made.trace else _LOOP).format(name=made.name, arguments=", ".join(arguments))


def head(made: Compiled) -> str:
    """NAME.h as one text."""
    return b"".join(header(made, digest(made.graph))).decode()


def _run(made: Compiled, call: Callable[..., None], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    graph, storages, where = made.graph, made.memory.storages, batches(made.graph).places
    counts = {batch_size(graph.values[name].shape, inputs[name].shape) for name in graph.inputs} - {None}
    n = counts.pop() if counts else 1
    assert n is not None
    taken = [split(inputs[p.value].astype(p.storage.dtype, copy=False), where[p.value], n) for p in made.inputs]
    given = [np.empty((n, *port.storage.layout.shape), port.storage.dtype) for port in made.outputs]
    kept = [np.empty((n, storages[name].layout.elements), storages[name].dtype) for name in made.observed if made.trace]
    if made.trace:
        sizes = (ctypes.c_int64 * len(kept))(*(array[0].nbytes for array in kept))
        call(ctypes.c_int64(n), _pointers([*taken, *given]), _pointers(kept), sizes)
    else:
        call(ctypes.c_int64(n), _pointers([*taken, *given]))
    results = {p.value: join(array, where[p.value]) for p, array in zip(made.outputs, given, strict=True)}
    for name, array in zip(made.observed, kept, strict=False):
        layout = storages[name].layout
        steps = tuple(stride * array.itemsize for stride in layout.strides)
        seen = np.lib.stride_tricks.as_strided(array, (n, *layout.shape), (array.strides[0], *steps))
        results[name] = join(np.ascontiguousarray(seen), where[name])
    order = dict.fromkeys((*made.observed, *results)) if made.trace else results
    return {name: results[name] for name in order}


def _pointers(arrays: list[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
