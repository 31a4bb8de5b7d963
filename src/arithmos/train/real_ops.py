"""The integer ops as functions of real tensors: without rounding, so torch differentiates them.

Of integers in a type that holds every partial sum exactly, all but requantize, shift_right, floor_div and isqrt give
the integers of the interpreter; these four are the functions that are then rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from arithmos.ir.graph import Shape
from arithmos.ir.ops.layout import Margins, Slices
from arithmos.ir.ops.window import Pairs
from arithmos.train.straight_through import Lookup

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def _around(x: Tensor, padding: Pairs, fill: float = 0.0) -> Tensor:
    flat = [margin for pair in reversed(padding) for margin in pair]
    return functional.pad(x, flat, value=fill) if any(flat) else x


def _conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Tensor:
    if all(before == after for before, after in padding):
        margin = tuple(before for before, _ in padding)
    else:
        x, margin = _around(x, padding), (0,) * len(padding)
    return CONVOLVE[len(stride)](x, w, b, stride, margin, dilation, groups)


def _max_pool(x: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs) -> Tensor:
    """Padding is absent: -inf never wins, because every window holds an element."""
    return MAX_POOL[len(kernel)](_around(x, padding, -math.inf), kernel, stride)


def _sum_pool(x: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs) -> Tensor:
    x = _around(x, padding)
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True), start=2):
        x = x.unfold(axis, size, step).sum(dim=-1)
    return x


def _slice(x: Tensor, *, slices: Slices) -> Tensor:
    for axis, start, step, count in slices:
        if step > 0:
            x = x[(slice(None),) * axis + (slice(start, start + (count - 1) * step + 1, step),)]
        else:
            x = x.index_select(axis, start + step * torch.arange(count, device=x.device))
    return x


def _pad(x: Tensor, *, margins: Margins, fill: int) -> Tensor:
    pairs = list(zip(x.shape, margins, strict=True))
    y = x.new_full([e + before + after + between * (e - 1) for e, (before, after, between) in pairs], fill)
    y[tuple(slice(before, before + e + between * (e - 1), between + 1) for e, (before, _, between) in pairs)] = x
    return y


def _requantize(x: Tensor, mul: Tensor | None = None, *, shift: int, lo: int, hi: int) -> Tensor:
    return ((x if mul is None else x * mul) * math.ldexp(1.0, -shift)).clamp(lo, hi)


def _isqrt(x: Tensor) -> Tensor:
    return x.clamp(min=1).sqrt()  # the slope at 0 is not finite


def _table(x: Tensor, entries: Tensor, *, offset: int, axis: int | None) -> Tensor:
    looked_up: Tensor = Lookup.apply(x, entries, offset, axis)  # type: ignore[no-untyped-call]
    return looked_up


def _gather(data: Tensor, indices: Tensor) -> Tensor:
    return data[indices.long()]


REAL: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "linear": functional.linear,
    "matmul": torch.matmul,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "maximum": torch.maximum,
    "clip": lambda x, *, lo, hi: x if lo is None and hi is None else x.clamp(lo, hi),
    "where": lambda cond, a, b: torch.where(cond != 0, a, b),
    "requantize": _requantize,
    "shift_right": lambda x, s: x * torch.exp2(-s),
    "floor_div": torch.div,
    "isqrt": _isqrt,
    "max_pool": _max_pool,
    "sum_pool": _sum_pool,
    "reduce_sum": lambda x, *, axes, keepdims: x.sum(dim=axes, keepdim=keepdims),
    "reduce_max": lambda x, *, axes, keepdims: x.amax(dim=axes, keepdim=keepdims),
    "argmax": lambda x, *, axis: x.argmax(dim=axis),
    "reshape": lambda x, *, shape: x.reshape([-1 if extent < 0 else extent for extent in shape]),
    "transpose": lambda x, *, perm: x.permute(perm),
    "concat": lambda *xs, axis: torch.cat(xs, dim=axis),
    "slice": _slice,
    "pad": _pad,
    "expand": lambda x, like: x.expand(like.shape),
    "table": _table,
    "gather": _gather,
}
"""Every op of the integer op set."""
