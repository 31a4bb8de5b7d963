"""Recompute every layer of a dumped CNN from the values it reads, with numpy alone:  python recompute_dump.py DUMP

The first layer whose stored result is not == what its stored inputs give is named, and the exit code is 1. What the
manifest's fields, ops and attributes mean is written in docs/dump.md.
"""

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np

TYPES = {"U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "I64": "<i8"}


def tensors(folder):
    """Every tensor of values.npz, or of values.safetensors: 8 bytes of length, a JSON table, the data."""
    if (folder / "values.npz").exists():
        return dict(np.load(folder / "values.npz"))
    data = np.fromfile(folder / "values.safetensors", "u1")
    start = 8 + int(data[:8].view("<u8")[0])
    table = json.loads(data[8:start].tobytes())
    del table["__metadata__"]
    where = {name: slice(*(start + offset for offset in t["data_offsets"])) for name, t in table.items()}
    return {name: data[where[name]].view(TYPES[t["dtype"]]).reshape(t["shape"]) for name, t in table.items()}


def seen(x, kernel, stride, padding, fill, dilation=(1, 1)):
    """For each position of the kernel, what it sees from every place of the window."""
    x = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=fill)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    for at in product(*(range(0, r + 1, d) for r, d in zip(reach, dilation))):
        yield x[(..., *(slice(a, n - r + a, s) for a, n, r, s in zip(at, x.shape[2:], reach, stride)))]


def conv(x, w, bias=0, *, groups, **window):
    """A matrix product for each position of the kernel, in float64: exact, because bounds are below 2**53."""
    filters = w.reshape(groups, len(w) // groups, w.shape[1], -1).astype("f8")
    sums = 0
    for k, view in enumerate(seen(x.astype("f8"), w.shape[2:], fill=0, **window)):
        sums = sums + filters[..., k] @ view.reshape(len(x), groups, w.shape[1], -1)
    return sums.reshape(len(x), len(w), *view.shape[2:]).astype("i8") + np.reshape(bias, (-1, 1, 1))


def pad(x, *, margins, fill):
    """(before, after, between) for each axis: how many fill values stand around it and between its neighbours."""
    y = np.full([a + n + m * (n - 1) + b for n, (a, b, m) in zip(x.shape, margins)], fill)
    y[tuple(slice(a, a + n + m * (n - 1), m + 1) for n, (a, b, m) in zip(x.shape, margins))] = x
    return y


def cut(x, *, slices):
    """(axis, start, step, count) for each axis that is cut."""
    for axis, start, step, count in slices:
        x = x.take(start + step * np.arange(count), axis)
    return x


def matmul(a, b):
    """Exact in float64, for the same reason."""
    return (a.astype("f8") @ b.astype("f8")).astype("i8")


OPS = {
    "conv": conv,
    "linear": lambda x, w, bias=0: matmul(x, w.T) + bias,
    "matmul": matmul,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "clip": lambda x, lo, hi: np.clip(x, lo, hi),
    "requantize": lambda x, mul=1, *, shift, lo, hi: np.clip((x * mul + ((1 << shift) >> 1)) >> shift, lo, hi),
    "table": lambda x, entries, *, offset, axis: entries[x - offset],  # axis is null: one table for all channels
    "max_pool": lambda x, **window: np.max([*seen(x, fill=x.min(), **window)], axis=0),
    "sum_pool": lambda x, **window: np.sum([*seen(x, fill=0, **window)], axis=0),
    "reduce_sum": lambda x, axes, keepdims: x.sum(axis=tuple(axes), keepdims=keepdims),
    "reduce_max": lambda x, axes, keepdims: x.max(axis=tuple(axes), keepdims=keepdims),
    "argmax": lambda x, axis: x.argmax(axis),
    "reshape": lambda x, shape: x.reshape([-1 if extent < 0 else extent for extent in shape]),
    "transpose": lambda x, perm: x.transpose(perm),
    "concat": lambda *xs, axis: np.concatenate(xs, axis),
    "slice": cut,
    "pad": pad,
}

folder = Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
if manifest["field"] or manifest["format"] not in ("safetensors", "npz"):
    sys.exit("this reader takes plain integers in safetensors or npz, not elements of a field, hex or C")
values = tensors(folder)
bounds = {tensor["name"]: tensor["bound"] for tensor in manifest["tensors"]}
for node in manifest["nodes"]:
    name, inputs = node["output"], [values[i].astype("i8") for i in node["inputs"]]
    assert max(map(abs, bounds[name])) < 2**53, f"float64 might not hold {name} exactly"
    if not np.array_equal(OPS[node["op"]](*inputs, **node["attrs"]), values[name]):
        sys.exit(f"{name} is not what {node['op']} makes of {', '.join(node['inputs'])}")
print(f"{len(manifest['nodes'])} layers, every integer equal")
