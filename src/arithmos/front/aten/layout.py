"""Moving values: views, permutations, concatenation, padding, repetition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch

from arithmos.front.call import PER_SAMPLE, Call, Computed, Folded, Operand, Refusal, Tensor, axis_of, full, own_axis
from arithmos.front.size import at_fold_batch
from arithmos.ir.graph import Shape
from arithmos.ir.ops.layout import Margins

MASKED = -1e30
"""Stands for minus infinity in masks and margins: softmax makes 0 of both, and a range with infinity has no grid."""

MOST_COPIES = 16
"""Up to so many copies of a value are a concatenation."""


def finite_number(number: float) -> float:
    """The number, with infinities and what is beyond +-1e30 replaced by it (see MASKED)."""
    return number if abs(number) < -MASKED else math.copysign(MASKED, number)


def reshape(call: Call, x: Tensor, shape: Shape, suffix: str = "") -> Tensor:
    """x with another shape; nothing is added where it is the same."""
    if x.shape == shape:
        return x
    if isinstance(x, Folded):
        return Folded(x.tensor.reshape(at_fold_batch(shape)), shape, x.name)
    return call.emit("reshape", x, shape=shape, suffix=suffix)


def transpose(call: Call, x: Tensor, perm: Sequence[int], suffix: str = "") -> Tensor:
    """x with its axes in another order; nothing is added where it is the same."""
    if list(perm) == list(range(len(x.shape))):
        return x
    if isinstance(x, Folded):
        return Folded(x.tensor.permute(*perm), tuple(x.shape[p] for p in perm), x.name)
    return call.emit("transpose", x, perm=tuple(perm), suffix=suffix)


def swap(call: Call, x: Tensor, a: int, b: int, suffix: str = "") -> Tensor:
    """x with two axes exchanged."""
    perm = list(range(len(x.shape)))
    perm[a], perm[b] = perm[b], perm[a]
    return transpose(call, x, perm, suffix)


def concat(call: Call, xs: Sequence[Tensor], axis: int, suffix: str = "") -> Tensor:
    """The values one after the other along an axis. A value among constants is padded, and the constants are added."""
    if len(xs) == 1:
        return xs[0]
    if xs[0].shape[axis] < 0:
        raise Refusal("it joins values along the batch axis", "join them along another axis, or give a larger batch")
    computed = [i for i, x in enumerate(xs) if isinstance(x, Computed)]
    if len(computed) > 1 or not any(x.dtype.is_floating_point for x in xs):
        return call.emit("concat", *xs, axis=axis, suffix=suffix)
    place = computed[0]
    before = sum(x.shape[axis] for x in xs[:place])
    after = sum(x.shape[axis] for x in xs[place + 1 :])
    inner = xs[place]
    zeros = torch.zeros(at_fold_batch(inner.shape), dtype=inner.dtype)
    rows = [x.tensor if isinstance(x, Folded) else zeros for x in xs]
    padded = pad(call, inner, {axis: (before, after, 0)}, 0, suffix="padded")
    constants = Folded(torch.cat(rows, dim=axis), padded.shape, f"{call.name}.constant")
    return call.join("add", padded, constants, suffix=suffix)


def pad(call: Call, x: Tensor, margins: dict[int, tuple[int, int, int]], fill: float, suffix: str = "") -> Tensor:
    """x with `fill` (before, after, between) its elements on some axes; negative margins cut."""
    cut = {axis: (max(-b, 0), max(-a, 0)) for axis, (b, a, _) in margins.items() if min(b, a) < 0}
    whole = [margins.get(axis, (0, 0, 0)) for axis in range(len(x.shape))]
    every: Margins = tuple((max(b, 0), max(a, 0), between) for b, a, between in whole)
    if any(any(m) for m in every):
        x = call.emit("pad", x, margins=every, fill=fill, suffix="padded" if cut else suffix)
    for axis, (before, after) in cut.items():
        x = part(call, x, axis, before, 1, x.shape[axis] - before - after, suffix=suffix)
    return x


def part(call: Call, x: Tensor, axis: int, start: int, step: int, count: int, suffix: str = "") -> Tensor:
    """Elements start + i * step, i < count, along an axis; nothing is added where these are all of them."""
    if (start, step, count) == (0, 1, x.shape[axis]):
        return x
    if count < 1:
        raise Refusal("it leaves no element", "drop the operation; an empty value has no meaning in a network")
    if isinstance(x, Folded):
        index = torch.tensor([start + i * step for i in range(count)])
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return Folded(x.tensor.index_select(axis, index), shape, x.name)
    return call.emit("slice", x, slices=((axis, start, step, count),), suffix=suffix)


def runs(indices: Sequence[int]) -> list[tuple[int, int, int]]:
    """The indices as progressions (start, step, count) with a step other than 0, each as long as it goes."""
    result: list[tuple[int, int, int]] = []
    at = 0
    while at < len(indices):
        step = indices[at + 1] - indices[at] if at + 1 < len(indices) else 1
        count = 1
        while step and at + count < len(indices) and indices[at + count] == indices[at] + count * step:
            count += 1
        result.append((indices[at], step or 1, count))
        at += count
    return result


def take(call: Call, x: Tensor, axis: int, indices: Sequence[int], suffix: str = "") -> Tensor:
    """The elements of an axis in a constant order: slices, put one after the other where one does not do."""
    spans = runs(indices)
    if len(spans) == 1:
        return part(call, x, axis, *spans[0], suffix=suffix)
    return concat(call, [part(call, x, axis, *span, suffix="part") for span in spans], axis, suffix)


def repeat_each(call: Call, x: Tensor, axis: int, times: int, suffix: str = "") -> Tensor:
    """Each element of an axis so many times, one next to the other."""
    shape = x.shape
    apart = reshape(call, x, (*shape[: axis + 1], 1, *shape[axis + 1 :]), "apart")
    many = expand(call, apart, (*shape[: axis + 1], times, *shape[axis + 1 :]), "copies")
    return reshape(call, many, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]), suffix)


def expand(call: Call, x: Tensor, shape: Shape, suffix: str = "") -> Tensor:
    """x repeated along axes of extent 1 and new axes in front: copies where they are few, else zeros are added."""
    if isinstance(x, Folded):
        return Folded(x.tensor.expand(at_fold_batch(shape)), shape, x.name)
    x = reshape(call, x, (1,) * (len(shape) - len(x.shape)) + x.shape, "aligned" if x.shape != shape else suffix)
    grown = [axis for axis, (a, b) in enumerate(zip(x.shape, shape, strict=True)) if a != b]
    if all(1 < shape[axis] <= MOST_COPIES for axis in grown):
        for axis in grown:
            x = call.emit("concat", *[x] * shape[axis], axis=axis, suffix=suffix if axis == grown[-1] else "copies")
        return x
    zeros = tuple(extent if axis in grown else 1 for axis, extent in enumerate(shape))
    return call.join("add", x, full(0, zeros, torch.float32, f"{call.name}.zeros"), suffix=suffix)


def view(call: Call, x: Tensor, *_: object) -> Tensor:
    """Every view that keeps the order of elements: torch has already worked out the shape."""
    return reshape(call, x, call.shape)


def same(call: Call, x: Tensor, *_: object) -> Tensor:
    """Operations that do nothing when a network is evaluated."""
    return x


def _dropout(call: Call, x: Tensor, p: float, train: bool) -> Tensor:
    if train and p:
        raise Refusal(
            "it drops values at random", "call it with training=self.training, so that eval() switches it off"
        )
    return x


def _native_dropout(call: Call, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, None]:
    return _dropout(call, x, p, bool(train)), None


def _permute(call: Call, x: Tensor, dims: Sequence[int]) -> Tensor:
    return transpose(call, x, [axis_of(x, dim) for dim in dims])


def _transpose(call: Call, x: Tensor, a: int, b: int) -> Tensor:
    return swap(call, x, axis_of(x, a), axis_of(x, b))


def _reverse_axes(call: Call, x: Tensor) -> Tensor:
    return transpose(call, x, list(range(len(x.shape)))[::-1])


def _matrix_transpose(call: Call, x: Tensor) -> Tensor:
    return swap(call, x, len(x.shape) - 2, len(x.shape) - 1)


def _movedim(call: Call, x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    marked = torch.empty(list(range(len(x.shape))), device="meta")  # the extent of each axis is its number
    return transpose(call, x, list(torch.movedim(marked, source, destination).shape))  # type: ignore[arg-type]


def _cat(call: Call, xs: Sequence[Tensor], dim: int = 0) -> Tensor:
    kept = [x for x in xs if x.shape != (0,)]  # torch skips empty vectors, the usual start of a list that grows
    return concat(call, kept, axis_of(kept[0], dim))


def _stack(call: Call, xs: Sequence[Tensor], dim: int = 0) -> Tensor:
    axis = dim % (len(xs[0].shape) + 1)
    shape = (*xs[0].shape[:axis], 1, *xs[0].shape[axis:])
    return concat(call, [reshape(call, x, shape, "apart") for x in xs], axis)


def _pad(call: Call, x: Tensor, pads: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    pairs = {len(x.shape) - 1 - i: (pads[2 * i], pads[2 * i + 1]) for i in range(len(pads) // 2)}
    if any(any(pair) and x.shape[axis] < 0 for axis, pair in pairs.items()):
        raise Refusal("it pads the batch axis", "pad the other axes only")
    if mode == "constant":
        margins = {axis: (*pair, 0) for axis, pair in pairs.items() if any(pair)}
        return pad(call, x, margins, finite_number(value or 0))
    for axis, (before, after) in pairs.items():
        positions = torch.arange(x.shape[axis], dtype=torch.float32)[None, None]
        padded = torch.nn.functional.pad(positions, (before, after), mode)
        x = take(call, x, axis, padded.int().flatten().tolist(), "" if axis == min(pairs) else "padded")
    return x


def _constant_pad(call: Call, x: Tensor, pads: Sequence[int], value: float = 0) -> Tensor:
    return _pad(call, x, pads, "constant", value)


def _expand(call: Call, x: Tensor, *_: object) -> Tensor:
    return expand(call, x, call.shape)


def _repeat(call: Call, x: Tensor, repeats: Sequence[int]) -> Tensor:
    repeats = [1] * (len(x.shape) - len(repeats)) + list(repeats)
    x = reshape(call, x, (1,) * (len(repeats) - len(x.shape)) + x.shape, "aligned")
    for axis, times in enumerate(repeats):
        if times != 1:
            if not isinstance(times, int) or x.shape[axis] < 0:
                raise Refusal(*PER_SAMPLE)
            apart = reshape(call, x, (*x.shape[:axis], 1, *x.shape[axis:]), "apart")
            many = expand(call, apart, (*x.shape[:axis], times, *x.shape[axis:]), "copies")
            merged = (*x.shape[:axis], times * x.shape[axis], *x.shape[axis + 1 :])
            x = reshape(call, many, merged, "repeated")
    return x


def _repeat_interleave(call: Call, x: Tensor, times: int, dim: int | None = None, *_: object) -> Tensor:
    if dim is None:
        raise Refusal("it flattens the batch", "name the axis: repeat_interleave(n, dim=1)")
    return repeat_each(call, x, own_axis(x, dim), times)


def _broadcast_all(call: Call, xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(expand(call, x, shape) for x, shape in zip(xs, call.shapes, strict=True))


def _pixel_shuffle(call: Call, x: Tensor, factor: int) -> Tensor:
    n, c, h, w = x.shape
    apart = reshape(call, x, (n, c // factor**2, factor, factor, h, w), "apart")
    return reshape(call, transpose(call, apart, (0, 1, 4, 2, 5, 3), "order"), call.shape)


def _pixel_unshuffle(call: Call, x: Tensor, factor: int) -> Tensor:
    n, c, h, w = x.shape
    apart = reshape(call, x, (n, c, h // factor, factor, w // factor, factor), "apart")
    return reshape(call, transpose(call, apart, (0, 1, 3, 5, 2, 4), "order"), call.shape)


def _channel_shuffle(call: Call, x: Tensor, groups: int) -> Tensor:
    n, c, *space = x.shape
    apart = reshape(call, x, (n, groups, c // groups, *space), "apart")
    return reshape(call, swap(call, apart, 1, 2, "order"), call.shape)


def fill(call: Call, x: Tensor, value: Operand) -> Folded:
    """A constant of the shape of x: its values do not matter."""
    number = value.tensor.item() if isinstance(value, Folded) else value
    if isinstance(number, Computed):
        raise Refusal("it fills with a computed number", "use torch.where, or multiply ones by the number")
    return full(number, call.shape, call.dtype, call.name)


def _copy(call: Call, x: Tensor, source: Operand, *_: object) -> Operand:
    return expand(call, source, call.shape) if isinstance(source, Computed | Folded) else fill(call, x, source)


VIEWS = (
    "view.default", "reshape.default", "_unsafe_view.default", "view_as.default", "reshape_as.default",
    "flatten.using_ints", "unflatten.int", "unsqueeze.default", "squeeze.default", "squeeze.dim", "squeeze.dims",
)  # fmt: skip
NOTHING = (
    "contiguous.default", "clone.default", "detach.default", "alias.default", "lift_fresh_copy.default",
    "lift_fresh.default", "positive.default", "resolve_conj.default", "resolve_neg.default",
)  # fmt: skip

ROWS = {
    **{f"aten.{name}": view for name in VIEWS},
    **{f"aten.{name}": same for name in NOTHING},
    "aten.dropout.default": _dropout,
    "aten.feature_dropout.default": _dropout,
    "aten.alpha_dropout.default": _dropout,
    "aten.feature_alpha_dropout.default": _dropout,
    "aten.native_dropout.default": _native_dropout,
    "aten.permute.default": _permute,
    "aten.transpose.int": _transpose,
    "aten.swapaxes.default": _transpose,
    "aten.swapdims.default": _transpose,
    "aten.t.default": _reverse_axes,
    "aten.numpy_T.default": _reverse_axes,
    "aten.mT.default": _matrix_transpose,
    "aten.adjoint.default": _matrix_transpose,
    "aten.movedim.int": _movedim,
    "aten.movedim.intlist": _movedim,
    "aten.cat.default": _cat,
    "aten.concat.default": _cat,
    "aten.concatenate.default": _cat,
    "aten.stack.default": _stack,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": _constant_pad,
    **{f"aten.reflection_pad{d}d.default": partial(_pad, mode="reflect") for d in (1, 2, 3)},
    **{f"aten.replication_pad{d}d.default": partial(_pad, mode="replicate") for d in (1, 2, 3)},
    "aten.expand.default": _expand,
    "aten.expand_as.default": _expand,
    "aten.broadcast_to.default": _expand,
    "aten.broadcast_tensors.default": _broadcast_all,
    "aten.repeat.default": _repeat,
    "aten.tile.default": _repeat,
    "aten.repeat_interleave.self_int": _repeat_interleave,
    "aten.pixel_shuffle.default": _pixel_shuffle,
    "aten.pixel_unshuffle.default": _pixel_unshuffle,
    "aten.channel_shuffle.default": _channel_shuffle,
    "aten.native_channel_shuffle.default": _channel_shuffle,
    "aten.fill.Scalar": fill,
    "aten.fill.Tensor": fill,
    "aten.copy.default": _copy,
}
