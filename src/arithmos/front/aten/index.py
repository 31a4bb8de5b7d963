"""Picking elements: slices, selections, splits, constant indices, embeddings, and writing into a part."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from arithmos.front.aten.layout import concat, expand, pad, part, reshape, take
from arithmos.front.call import PER_SAMPLE, Call, Computed, Folded, Refusal, Tensor, axis_of, own_axis
from arithmos.front.size import FOLD_BATCH, at_fold_batch


def _bounds(x: Tensor, axis: int, start: object, end: object, step: int) -> tuple[int, int, int] | None:
    """(start, step, count) of a Python slice with its usual clamping; None if it takes the whole axis."""
    extent = x.shape[axis]
    if extent < 0:
        whole = end is None or (isinstance(end, int) and end >= 1 << 62)
        if start in (None, 0) and whole and step == 1:
            return None
        raise Refusal(*PER_SAMPLE)
    if not isinstance(start, int | None) or not isinstance(end, int | None):
        raise Refusal("its bounds depend on the batch size", "slice by constants")
    chosen = range(extent)[slice(start, end, step)]
    return None if len(chosen) == extent and step == 1 else (chosen.start, step, len(chosen))


def _slice(call: Call, x: Tensor, dim: int = 0, start: object = None, end: object = None, step: int = 1) -> Tensor:
    axis = axis_of(x, dim)
    bounds = _bounds(x, axis, start, end, step)
    return x if bounds is None else part(call, x, axis, *bounds)


def _narrow(call: Call, x: Tensor, dim: int, start: int, length: int) -> Tensor:
    return part(call, x, own_axis(x, dim), start % x.shape[axis_of(x, dim)], 1, length)


def _select(call: Call, x: Tensor, dim: int, index: int) -> Tensor:
    axis = own_axis(x, dim)
    return reshape(call, part(call, x, axis, index % x.shape[axis], 1, 1, "row"), call.shape)


def _pieces(call: Call, x: Tensor, axis: int) -> tuple[Tensor, ...]:
    """The parts of an axis whose lengths are those of the call's outputs."""
    at, result = 0, []
    for shape in call.shapes:
        result.append(part(call, x, axis, at, 1, shape[axis]))
        at += shape[axis]
    return tuple(result)


def _split(call: Call, x: Tensor, _sizes: object, dim: int = 0) -> tuple[Tensor, ...]:
    return _pieces(call, x, own_axis(x, dim))


def _unbind(call: Call, x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    axis = own_axis(x, dim)
    rows = (part(call, x, axis, i, 1, 1, "row") for i in range(x.shape[axis]))
    return tuple(reshape(call, row, shape) for row, shape in zip(rows, call.shapes, strict=True))


def _flip(call: Call, x: Tensor, dims: Sequence[int]) -> Tensor:
    for dim in dims:
        axis = own_axis(x, dim)
        x = part(call, x, axis, x.shape[axis] - 1, -1, x.shape[axis])
    return x


def _roll(call: Call, x: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Tensor:
    if not dims:
        raise Refusal("it rolls over all axes at once, the batch too", "name the axes: torch.roll(x, shifts, dims)")
    for i, (shift, dim) in enumerate(zip(shifts, dims, strict=True)):
        axis = own_axis(x, dim)
        order = [(place - shift) % x.shape[axis] for place in range(x.shape[axis])]
        x = take(call, x, axis, order, "" if i == len(dims) - 1 else "rolled")
    return x


def _unfold(call: Call, x: Tensor, dim: int, size: int, step: int) -> Tensor:
    """Windows along an axis; their elements become the last axis."""
    axis, rank = own_axis(x, dim), len(x.shape)
    count = (x.shape[axis] - size) // step + 1
    # Element k of all windows is one strided slice: as many slices as a window has elements.
    columns = [part(call, x, axis, k, step, count, "column") for k in range(size)]
    shape = (*columns[0].shape, 1)
    return concat(call, [reshape(call, c, shape, "column") for c in columns], rank)


def _embedding(call: Call, weight: Tensor, ids: Tensor, *_: object) -> Tensor:
    if ids.dtype.is_floating_point:
        raise Refusal("its indices are floats", "give integer indices")
    if isinstance(weight, Computed):
        raise Refusal("it takes rows of a computed value", "look up in a parameter or constant")
    return call.emit("gather", weight, ids)


def _one_hot(call: Call, ids: Tensor, *_: object) -> Tensor:
    """Rows of the unit matrix."""
    unit = torch.eye(call.shape[-1], dtype=torch.int64)
    return call.emit("gather", Folded(unit, tuple(unit.shape), f"{call.name}.unit"), ids)


def _index_select(call: Call, x: Tensor, dim: int, index: Tensor) -> Tensor:
    return _indexed(call, x, own_axis(x, dim), index)


def _indexed(call: Call, x: Tensor, axis: int, index: Tensor) -> Tensor:
    """x[:, ..., index] along one axis."""
    if isinstance(index, Folded) and min(index.shape, default=1) >= 0:
        listed = (index.tensor % x.shape[axis]).flatten().tolist()
        return reshape(call, take(call, x, axis, listed, "" if len(index.shape) == 1 else "taken"), call.shape)
    if isinstance(x, Folded) and axis == 0:
        return call.emit("gather", x, index)
    raise Refusal("computed indices pick from a computed value", "look up in a parameter or constant along axis 0")


def _index(call: Call, x: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    given = [axis for axis, index in enumerate(indices) if index is not None]
    rank = max(len(index.shape) for index in indices if index is not None)
    if len(given) > 1 and given[0] == 0 and _is_place_in_batch(indices[0], rank):
        given = given[1:]  # x[arange(batch), i] is x[:, i]: every sample indexes itself
    if len(given) == 1:
        axis = given[0]
        index = indices[axis]
        assert index is not None
        if x.shape[axis] < 0:
            raise Refusal(*PER_SAMPLE)
        return _indexed(call, x, axis, index)
    constants = [index for index in (indices[axis] for axis in given) if isinstance(index, Folded)]
    neighbours = given == list(range(given[0], given[-1] + 1))
    if len(constants) < len(given) or not neighbours or any(x.shape[axis] < 0 for axis in given):
        raise Refusal(
            "several axes are indexed at once by computed indices or across the batch", "index one axis after the other"
        )
    # Neighbouring axes that are indexed together are one axis, indexed once.
    extents = [x.shape[axis] for axis in given]
    flat = torch.zeros((), dtype=torch.int64)
    for extent, constant in zip(extents, constants, strict=True):
        flat = flat * extent + constant.tensor % extent
    merged = (*x.shape[: given[0]], math.prod(extents), *x.shape[given[-1] + 1 :])
    return _indexed(call, reshape(call, x, merged, "merged"), given[0], Folded(flat, tuple(flat.shape), call.name))


def _is_place_in_batch(index: Tensor | None, rank: int) -> bool:
    """Whether an index is arange(batch) on the first axis of the result."""
    if not isinstance(index, Folded) or index.shape != (-1, *[1] * (rank - 1)):
        return False
    return index.tensor.flatten().tolist() == list(range(FOLD_BATCH))


def _triangle(call: Call, x: Tensor, diagonal: int = 0, *, upper: bool) -> Tensor:
    ones = torch.ones(at_fold_batch(x.shape[-2:]), dtype=torch.bool)
    kept = ones.triu(diagonal) if upper else ones.tril(diagonal)
    return call.join("where", Folded(kept, tuple(kept.shape), f"{call.name}.kept"), x, 0)


def _slice_scatter(
    call: Call, x: Tensor, source: Tensor, dim: int = 0, start: object = None, end: object = None, step: int = 1
) -> Tensor:
    """x with a part replaced: the parts before and behind stay; of interleaved ones a mask chooses."""
    axis = axis_of(x, dim)
    bounds = _bounds(x, axis, start, end, step)
    if bounds is None:
        return expand(call, source, x.shape)
    at, step, count = bounds
    extent = x.shape[axis]
    source = expand(call, source, (*x.shape[:axis], count, *x.shape[axis + 1 :]), "source")
    if step == 1:
        pieces = [source]
        if at:
            pieces.insert(0, part(call, x, axis, 0, 1, at, "before"))
        if rest := extent - at - count:
            pieces.append(part(call, x, axis, at + count, 1, rest, "behind"))
        return concat(call, pieces, axis)
    behind = extent - at - ((count - 1) * step + 1)
    spread = pad(call, source, {axis: (at, behind, step - 1)}, 0, suffix="spread")
    chosen = torch.zeros(extent, dtype=torch.bool)
    chosen[at : at + count * step : step] = True
    chosen = chosen.reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
    return call.join("where", Folded(chosen, tuple(chosen.shape), f"{call.name}.chosen"), spread, x)


def _select_scatter(call: Call, x: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    axis = own_axis(x, dim)
    at = index % x.shape[axis]
    row = reshape(call, source, (*x.shape[:axis], 1, *x.shape[axis + 1 :]), "row")
    return _slice_scatter(call, x, row, axis, at, at + 1)


ROWS = {
    "aten.slice.Tensor": _slice,
    "aten.narrow.default": _narrow,
    "aten.select.int": _select,
    "aten.chunk.default": _split,
    "aten.split.Tensor": _split,
    "aten.split.sizes": _split,
    "aten.split_with_sizes.default": _split,
    "aten.tensor_split.sections": _split,
    "aten.tensor_split.indices": _split,
    "aten.unbind.int": _unbind,
    "aten.flip.default": _flip,
    "aten.roll.default": _roll,
    "aten.unfold.default": _unfold,
    "aten.embedding.default": _embedding,
    "aten.one_hot.default": _one_hot,
    "aten.index_select.default": _index_select,
    "aten.index.Tensor": _index,
    "aten.tril.default": lambda call, x, diagonal=0: _triangle(call, x, diagonal, upper=False),
    "aten.triu.default": lambda call, x, diagonal=0: _triangle(call, x, diagonal, upper=True),
    "aten.slice_scatter.default": _slice_scatter,
    "aten.select_scatter.default": _select_scatter,
}
