"""Sums of products: linear, matrix products and einsum."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from arithmos.front.aten.arithmetic import mul, times
from arithmos.front.aten.layout import reshape, transpose
from arithmos.front.call import PER_SAMPLE, Call, Folded, Operand, Refusal, Tensor


def _linear(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return call.emit("linear", x, weight) if bias is None else call.emit("linear", x, weight, bias)


def matmul(call: Call, a: Tensor, b: Tensor, suffix: str = "") -> Tensor:
    """a @ b for matrices; by a constant matrix on the right it is linear, whose weight is stored transposed."""
    if a.shape[-1] < 0 or (a.shape[-2] < 0 and b.shape[-1] < 0):
        raise Refusal(*PER_SAMPLE)
    if isinstance(b, Folded) and len(b.shape) == 2 and min(b.shape) > 0:
        return call.emit("linear", a, Folded(b.tensor.T, b.shape[::-1], b.name), suffix=suffix)
    return call.emit("matmul", a, b, suffix=suffix)


def _matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Vectors are rows on the left and columns on the right."""
    if len(a.shape) == 1:
        a = reshape(call, a, (1, *a.shape), "row")
    vector = len(b.shape) == 1
    if vector:
        b = reshape(call, b, (*b.shape, 1), "column")
    whole = len(call.shape) == max(len(a.shape), len(b.shape)) and not vector
    return reshape(call, matmul(call, a, b, "" if whole else "product"), call.shape)


def _addmm(call: Call, bias: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * bias + alpha * (a @ b)."""
    plain = isinstance(bias, Folded) and bias.shape == b.shape[1:] and (beta, alpha) == (1, 1)
    if plain and isinstance(b, Folded) and len(b.shape) == 2:
        return call.emit("linear", a, Folded(b.tensor.T, b.shape[::-1], b.name), bias)
    product = times(call, matmul(call, a, b, "product"), alpha, "scaled")
    return call.join("add", product, times(call, bias, beta, "bias"))


def _dot(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return call.emit("reduce_sum", mul(call, a, b, "product"), axes=(0,), keepdims=False)


def _outer(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return call.join("mul", reshape(call, a, (*a.shape, 1), "column"), b)


def _terms(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """The axes of the operands and of the result, a letter each: dots and a missing result are spelled out."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    ranks = [
        len(x.shape) - len(term) + 3 if "..." in term else 0 for x, term in zip(operands, given.split(","), strict=True)
    ]
    dots = "".join(free[: max(ranks)])
    # The axes behind the dots are aligned at the end, like those of a broadcast.
    terms = [term.replace("...", dots[len(dots) - rank :]) for term, rank in zip(given.split(","), ranks, strict=True)]
    if not arrow:
        result = dots + "".join(sorted(axis for axis in set("".join(terms)) - set(dots) if given.count(axis) == 1))
    return terms, result.replace("...", dots)


def _einsum(call: Call, equation: str, operands: Sequence[Tensor], *_: object) -> Operand:
    """Sums over what one operand alone has, then one matrix product over what both have and the result lacks."""
    labels, result = _terms(equation, operands)
    named = [
        (axis, extent)
        for x, term in zip(operands, labels, strict=True)
        for axis, extent in zip(term, x.shape, strict=True)
    ]
    if len(operands) > 2 or any(len(set(term)) < len(term) for term in labels) or len(set(named)) > len(dict(named)):
        raise Refusal(
            f"'{equation}' is not a product of one or two tensors in which each axis has one name and size",
            "multiply two tensors at a time, name each axis once, and expand what is broadcast",
        )
    needed = [set(result).union(*labels[:i], *labels[i + 1 :]) for i in range(len(labels))]
    sides = [_summed(call, x, term, names) for x, term, names in zip(operands, labels, needed, strict=True)]
    if len(sides) == 1:
        x, term = sides[0]
        return transpose(call, x, [term.index(axis) for axis in result])
    if isinstance(sides[0][0], Folded):
        sides.reverse()
    (a, on_a), (b, on_b) = sides
    extent = dict(named)
    both = [axis for axis in on_a if axis in on_b and axis in result]
    inner = [axis for axis in on_a if axis in on_b and axis not in result]
    rows = [axis for axis in on_a if axis not in on_b]
    columns = [axis for axis in on_b if axis not in on_a]

    def size(axes: list[str]) -> int:
        return math.prod(extent[axis] for axis in axes)

    if any(extent[axis] < 0 for axis in inner):
        raise Refusal(*PER_SAMPLE)
    shared = tuple(extent[axis] for axis in both)
    a = transpose(call, a, [on_a.index(axis) for axis in both + rows + inner], "left")
    b = transpose(call, b, [on_b.index(axis) for axis in both + inner + columns], "right")
    # A constant matrix multiplies the last axis whatever stands before it; else the rows become one axis.
    apart = isinstance(b, Folded) and not both and bool(rows)
    kept = tuple(extent[axis] for axis in rows) if apart else (size(rows),)
    left = reshape(call, a, (*shared, *kept, size(inner)), "left")
    right = reshape(call, b, (*shared, size(inner), size(columns)), "right")
    product = matmul(call, left, right, "product")
    order = both + rows + columns
    apart_again = reshape(call, product, tuple(extent[axis] for axis in order), "apart")
    return transpose(call, apart_again, [order.index(axis) for axis in result])


def _summed(call: Call, x: Tensor, term: str, needed: set[str]) -> tuple[Tensor, str]:
    """x summed over the axes that nothing else names."""
    axes = tuple(i for i, axis in enumerate(term) if axis not in needed)
    if not axes:
        return x, term
    if any(x.shape[i] < 0 for i in axes):
        raise Refusal(*PER_SAMPLE)
    rest = "".join(axis for axis in term if axis in needed)
    return call.emit("reduce_sum", x, axes=axes, keepdims=False, suffix="sum"), rest


ROWS = {
    "aten.linear.default": _linear,
    "aten.matmul.default": _matmul,
    "aten.mm.default": _matmul,
    "aten.bmm.default": _matmul,
    "aten.mv.default": _matmul,
    "aten.dot.default": _dot,
    "aten.outer.default": _outer,
    "aten.addmm.default": _addmm,
    "aten.baddbmm.default": _addmm,
    "aten.einsum.default": _einsum,
}
