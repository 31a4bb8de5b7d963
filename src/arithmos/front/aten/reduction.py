"""Reductions over axes: sums, means, maxima, variances, norms, argmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arithmos.front.aten.arithmetic import square, truth
from arithmos.front.aten.layout import reshape
from arithmos.front.call import PER_SAMPLE, Call, Computed, Folded, Refusal, Tensor, own_axes, own_axis

Dims = int | Sequence[int] | None


def reduce(call: Call, op: str, x: Tensor, axes: tuple[int, ...], keepdims: bool, suffix: str = "") -> Computed:
    """reduce_sum, reduce_mean or reduce_max over the axes."""
    return call.emit(op, x, axes=axes, keepdims=keepdims, suffix=suffix)


def _sum(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False, *_: object) -> Tensor:
    return reduce(call, "reduce_sum", x, own_axes(x, dims), keepdim)


def _mean(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False, *_: object) -> Tensor:
    return reduce(call, "reduce_mean", x, own_axes(x, dims), keepdim)


def _sum_of_all(call: Call, x: Tensor, *_: object) -> Tensor:
    return _sum(call, x)


def _mean_of_all(call: Call, x: Tensor, *_: object) -> Tensor:
    return _mean(call, x)


def _amax(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False) -> Tensor:
    return reduce(call, "reduce_max", x, own_axes(x, dims), keepdim)


def _amin(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False) -> Tensor:
    """-max(-x)."""
    negative = call.emit("mul", x, -1, suffix="negative")
    return call.emit("mul", reduce(call, "reduce_max", negative, own_axes(x, dims), keepdim, "maximum"), -1)


def _any(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False) -> Tensor:
    """The maximum of the truth values."""
    return reduce(call, "reduce_max", _truth(call, x), own_axes(x, dims), keepdim)


def _all(call: Call, x: Tensor, dims: Dims = None, keepdim: bool = False) -> Tensor:
    """1 - any(1 - x)."""
    false = call.emit("sub", 1, _truth(call, x), suffix="false")
    return call.emit("sub", 1, reduce(call, "reduce_max", false, own_axes(x, dims), keepdim, "any"))


def _truth(call: Call, x: Tensor) -> Tensor:
    y = truth(call, x)
    assert isinstance(y, Computed | Folded)
    return y


def _argmax(call: Call, x: Tensor, dim: int | None = None, keepdim: bool = False, suffix: str = "") -> Tensor:
    """The first index of the maximum."""
    if dim is None:
        raise Refusal(*PER_SAMPLE)
    axis = own_axis(x, dim)
    index = call.emit("argmax", x, axis=axis, suffix="index" if keepdim else suffix)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return reshape(call, index, kept, suffix) if keepdim else index


def _argmin(call: Call, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return _argmax(call, call.emit("mul", x, -1, suffix="negative"), dim, keepdim)


def _max_and_index(call: Call, x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _amax(call, x, dim, keepdim), _argmax(call, x, dim, keepdim, "indices")


def _min_and_index(call: Call, x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    negative = call.emit("mul", x, -1, suffix="negated")
    return _amin(call, x, dim, keepdim), _argmax(call, negative, dim, keepdim, "indices")


def variance(
    call: Call, x: Tensor, axes: tuple[int, ...], keepdims: bool, correction: float, suffix: str
) -> tuple[Computed, Computed]:
    """sum((x - mean)**2) / (n - correction) over the axes, and the mean with its axes kept."""
    mean = reduce(call, "reduce_mean", x, axes, True, "mean")
    squares = square(call, call.emit("sub", x, mean, suffix="centred"), "squares")
    count = math.prod(x.shape[axis] for axis in axes)
    if count <= correction:
        raise Refusal(f"it divides the variance of {count} elements by zero", "use correction=0 (unbiased=False)")
    factor = count / (count - correction)
    value = reduce(call, "reduce_mean", squares, axes, keepdims, suffix if factor == 1 else "variance")
    return (value if factor == 1 else call.emit("mul", value, factor, suffix=suffix)), mean


def _correction(unbiased: object) -> float:
    """torch's default, unbiased=True and correction=1 mean the same."""
    return 1.0 if unbiased is None else float(unbiased)  # type: ignore[arg-type]


def _var(call: Call, x: Tensor, dims: Dims = None, correction: object = None, keepdim: bool = False) -> Tensor:
    return variance(call, x, own_axes(x, dims), keepdim, _correction(correction), "")[0]


def _std(call: Call, x: Tensor, dims: Dims = None, correction: object = None, keepdim: bool = False) -> Tensor:
    return call.emit("sqrt", variance(call, x, own_axes(x, dims), keepdim, _correction(correction), "variance")[0])


def _var_mean(
    call: Call, x: Tensor, dims: Dims = None, correction: object = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    value, mean = variance(call, x, own_axes(x, dims), keepdim, _correction(correction), "")
    return value, reshape(call, mean, value.shape, "mean")


def _std_mean(
    call: Call, x: Tensor, dims: Dims = None, correction: object = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    value, mean = variance(call, x, own_axes(x, dims), keepdim, _correction(correction), "variance")
    return call.emit("sqrt", value), reshape(call, mean, value.shape, "mean")


def _norm(
    call: Call, x: Tensor, order: float | None = 2, dims: Dims = None, keepdim: bool = False, *_: object
) -> Tensor:
    """sum(|x|**p)**(1/p) for p = 1 and 2, the maximum of |x| for infinity."""
    axes = own_axes(x, dims)
    if order in (2, None):
        return call.emit("sqrt", reduce(call, "reduce_sum", square(call, x, "squares"), axes, keepdim, "sum"))
    if order not in (1, math.inf):
        raise Refusal(f"it is the norm of order {order}", "use order 1, 2 or inf")
    size = call.emit("abs", x, suffix="distance")
    return reduce(call, "reduce_sum" if order == 1 else "reduce_max", size, axes, keepdim)


def _norm_all(call: Call, x: Tensor, order: float | None = 2) -> Tensor:
    return _norm(call, x, order)


def _cosine_similarity(call: Call, a: Tensor, b: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """sum(a * b) / (max(|a|, eps) * max(|b|, eps)) over an axis."""
    axes = own_axes(a, dim)
    lengths = []
    for x, side in ((a, "left"), (b, "right")):
        total = reduce(call, "reduce_sum", square(call, x, f"{side}.squares"), axes, False, side)
        lengths.append(call.emit("clip", call.emit("sqrt", total, suffix=side), lo=eps, hi=None, suffix=side))
    inner = reduce(call, "reduce_sum", call.join("mul", a, b, suffix="product"), axes, False, "sum")
    return call.emit("div", inner, call.emit("mul", *lengths, suffix="lengths"))


def _softmax(call: Call, x: Tensor, dim: int, *_: object) -> Tensor:
    return call.emit("softmax", x, axis=own_axis(x, dim))


def log_sum_exp(call: Call, x: Tensor, axes: tuple[int, ...]) -> tuple[Computed, Computed]:
    """The maximum, and log(sum(exp(x - maximum))), with the axes kept."""
    peak = reduce(call, "reduce_max", x, axes, True, "maximum")
    exponentials = call.emit("exp", call.emit("sub", x, peak, suffix="below"), suffix="exp")
    total = reduce(call, "reduce_sum", exponentials, axes, True, "sum")
    return peak, call.emit("log", total, suffix="log")


def _log_softmax(call: Call, x: Tensor, dim: int, *_: object) -> Tensor:
    """x - max - log(sum(exp(x - max)))."""
    peak, log = log_sum_exp(call, x, (own_axis(x, dim),))
    return call.emit("sub", call.emit("sub", x, peak, suffix="shifted"), log)


def _logsumexp(call: Call, x: Tensor, dims: Dims, keepdim: bool = False) -> Tensor:
    peak, log = log_sum_exp(call, x, own_axes(x, dims))
    whole = call.emit("add", peak, log, suffix="" if keepdim else "kept")
    return reshape(call, whole, call.shape)


ROWS = {
    "aten.sum.default": _sum_of_all,
    "aten.sum.dim_IntList": _sum,
    "aten.mean.default": _mean_of_all,
    "aten.mean.dim": _mean,
    "aten.amax.default": _amax,
    "aten.amin.default": _amin,
    "aten.max.dim": _max_and_index,
    "aten.min.dim": _min_and_index,
    "aten.max.default": _amax,
    "aten.min.default": _amin,
    **{f"aten.any.{kind}": _any for kind in ("default", "dim", "dims")},
    **{f"aten.all.{kind}": _all for kind in ("default", "dim", "dims")},
    "aten.argmax.default": _argmax,
    "aten.argmin.default": _argmin,
    "aten.var.dim": _var,
    "aten.var.correction": _var,
    "aten.std.dim": _std,
    "aten.std.correction": _std,
    "aten.var_mean.dim": _var_mean,
    "aten.var_mean.correction": _var_mean,
    "aten.std_mean.dim": _std_mean,
    "aten.std_mean.correction": _std_mean,
    "aten.linalg_vector_norm.default": _norm,
    "aten.norm.ScalarOpt_dim": _norm,
    "aten.norm.Scalar": _norm_all,
    "aten.cosine_similarity.default": _cosine_similarity,
    "aten.softmax.int": _softmax,
    "aten._softmax.default": _softmax,
    "aten.log_softmax.int": _log_softmax,
    "aten._log_softmax.default": _log_softmax,
    "aten.logsumexp.default": _logsumexp,
}
