"""Ops that are linear in wires: no constraint, whatever their size. Weights are constants of the circuit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.ops import INT
from arithmos.targets.zk.combination import Matrix, Signal, gathered, transformed
from arithmos.targets.zk.place import Place

Linear = Signal


def _conv(place: Place, operands: list[Linear]) -> Linear:
    weight, bias = place.array(1), place.array(2)
    assert weight is not None
    y = transformed(_conv_matrix(place, weight), operands[0])
    positions = math.prod(place.shape[2:])
    return y if bias is None else y + np.tile(np.repeat(bias, positions), place.shape[0])


def _conv_matrix(place: Place, weight: np.ndarray) -> Matrix:
    """Rows in the order of the result, sources of each row ascending; padding and zero weights left out."""
    at, x = place.node.attrs, place.operand_shape(0)
    groups, rank = at.get("groups", 1), len(x) - 2
    n, out, space = place.shape[0], place.shape[1], place.shape[2:]
    dilation = at.get("dilation", (1,) * rank)
    index = np.pad(np.arange(math.prod(x)).reshape(x), ((0, 0), (0, 0), *at["padding"]), constant_values=-1)
    taps = []
    for tap in product(*(range(k) for k in weight.shape[2:])):
        cut = (
            slice(t * d, t * d + (c - 1) * s + 1, s)
            for t, d, c, s in zip(tap, dilation, space, at["stride"], strict=True)
        )
        taps.append(index[(slice(None), slice(None), *cut)])
    # (n, groups, channels of a group, taps, positions) -> (n, groups, positions, channels * taps)
    columns = np.stack(taps, axis=2).reshape(n, groups, x[1] // groups, len(taps), -1)
    columns = np.moveaxis(columns, -1, 2).reshape(n, groups, 1, math.prod(space), -1)
    kernels = weight.reshape(1, groups, out // groups, 1, -1)
    kept = (columns >= 0) & (kernels != 0)
    row = np.repeat(np.arange(place.size), kept.sum(axis=-1).reshape(-1))
    source, weights = (np.broadcast_to(array, kept.shape)[kept] for array in (columns, kernels))
    return Matrix(place.size, row, source, weights)


def _sum_pool(place: Place, operands: list[Linear]) -> Linear:
    shape = place.operand_shape(0)
    ones = np.ones((shape[1], 1, *place.node.attrs["kernel"]), np.int64)
    node = replace(place.node, attrs={**place.node.attrs, "groups": shape[1]})
    return transformed(_conv_matrix(replace(place, node=node), ones), operands[0])


def _linear(place: Place, operands: list[Linear]) -> Linear:
    weight, bias = place.array(1), place.array(2)
    assert weight is not None
    out, k = weight.shape
    lead = place.size // out
    row = np.repeat(np.arange(lead * out), k)
    source = np.repeat(np.arange(lead), out * k) * k + np.tile(np.arange(k), lead * out)
    y = transformed(_without_zeros(lead * out, row, source, np.tile(weight.reshape(-1), lead)), operands[0])
    return y if bias is None else y + np.tile(bias, lead)


def _matmul(place: Place, operands: list[Linear]) -> Linear:
    """One factor is a constant: the other's elements weighted by it."""
    constant = 0 if place.array(0) is not None else 1
    weight = place.array(constant)
    assert weight is not None
    sources = matmul_pairs(place.operand_shape(0), place.operand_shape(1), place.shape)
    n, k = sources[0].shape
    matrix = _without_zeros(
        n,
        np.repeat(np.arange(n), k),
        sources[1 - constant].reshape(-1),
        weight.reshape(-1)[sources[constant]].reshape(-1),
    )
    return transformed(matrix, operands[1 - constant])


def matmul_pairs(a: Shape, b: Shape, out: Shape) -> tuple[np.ndarray, np.ndarray]:
    """For each element of a matmul's result (row) and each k: which element of a, which of b; both (n, k)."""
    lead, k = out[:-2], a[-1]
    left = np.broadcast_to(np.arange(math.prod(a)).reshape(a), (*lead, *a[-2:]))
    right = np.broadcast_to(np.arange(math.prod(b)).reshape(b), (*lead, *b[-2:]))
    rows = np.broadcast_to(left[..., :, None, :], (*out, k))
    columns = np.broadcast_to(np.swapaxes(right, -1, -2)[..., None, :, :], (*out, k))
    return rows.reshape(-1, k), columns.reshape(-1, k)


def _reduce_sum(place: Place, operands: list[Linear]) -> Linear:
    sources = reduced(place)
    n, k = sources.shape
    return transformed(
        Matrix(n, np.repeat(np.arange(n), k), sources.reshape(-1), np.ones(n * k, np.int64)), operands[0]
    )


def reduced(place: Place) -> np.ndarray:
    """For each element of a reduction's result (row): the elements of operand 0 it is made of, in order."""
    shape, at = place.operand_shape(0), place.node.attrs
    axes = sorted(at["axes"]) if "axes" in at else [at["axis"]]
    index = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axes, range(-len(axes), 0))
    return index.reshape(place.size, -1)


def _add(place: Place, operands: list[Linear]) -> Linear:
    return operands[0][place.spread(0)] + operands[1][place.spread(1)]


def _sub(place: Place, operands: list[Linear]) -> Linear:
    return operands[0][place.spread(0)] - operands[1][place.spread(1)]


def _mul(place: Place, operands: list[Linear]) -> Linear:
    constant = 0 if place.array(0) is not None else 1
    factor = place.array(constant)
    assert factor is not None
    return operands[1 - constant][place.spread(1 - constant)] * factor.reshape(-1)[place.spread(constant)]


def _moved(place: Place, operands: list[Linear]) -> Linear:
    """Layout: the op itself, run on the numbers of the elements, says where each one comes from."""
    attrs = dict(place.node.attrs)
    if place.node.op == "reshape":
        return operands[0]
    fill = attrs.get("fill", 0)
    if place.node.op == "pad":
        attrs["fill"] = -1
    pieces, ahead = [], 0
    for i, operand in enumerate(operands if place.node.op == "concat" else operands[:1]):
        pieces.append(np.arange(len(operand)).reshape(place.operand_shape(i)) + ahead)
        ahead += len(operand)
    likes = [np.empty(place.operand_shape(1), np.int64)] if place.node.op == "expand" else []
    source = INT[place.node.op].run(*pieces, *likes, **attrs).reshape(-1)
    every = operands[0] if len(pieces) == 1 else stack(operands)
    present = np.flatnonzero(source >= 0)
    matrix = Matrix(source.size, present, source[present], np.ones(present.size, np.int64))
    return transformed(matrix, every) + np.where(source >= 0, 0, fill)


def stack(operands: list[Linear]) -> Linear:
    """All rows of all of them."""
    ends = np.cumsum([0, *(len(operand) for operand in operands)])
    rows = [np.arange(a, b) for a, b in pairwise(ends)]
    return gathered(operands, rows)


def _where(place: Place, operands: list[Linear]) -> Linear:
    condition = place.array(0)
    assert condition is not None
    chosen = condition.reshape(-1)[place.spread(0)] != 0
    source = np.where(chosen, place.spread(1), place.spread(2) + len(operands[1]))
    return stack(operands[1:])[source]


def _gather(place: Place, operands: list[Linear]) -> Linear:
    data, indices = place.operand_shape(0), place.array(1)
    assert indices is not None
    return operands[0][np.arange(math.prod(data)).reshape(data)[indices].reshape(-1)]


def _without_zeros(n: int, row: np.ndarray, source: np.ndarray, weight: np.ndarray) -> Matrix:
    kept = weight != 0
    return Matrix(n, row[kept], source[kept], weight[kept])


AFFINE: dict[str, Callable[[Place, list[Linear]], Linear]] = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "sum_pool": _sum_pool,
    "reduce_sum": _reduce_sum,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "where": _where,
    "gather": _gather,
    **dict.fromkeys(("reshape", "transpose", "concat", "slice", "pad", "expand"), _moved),
}
"""op -> its combination of the operands', where it has one (see `is_affine`)."""


def is_affine(place: Place) -> bool:
    """Whether the node is linear in what is computed: all of AFFINE, but for products of two computed values, a
    computed condition, a computed index."""
    computed = [i for i, name in enumerate(place.node.inputs) if name not in place.graph.constants]
    if place.node.op in ("mul", "matmul"):
        return len(computed) <= 1
    if place.node.op == "where":
        return 0 not in computed
    if place.node.op == "gather":
        return 1 not in computed
    return place.node.op in AFFINE
