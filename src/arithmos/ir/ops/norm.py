"""Normalisation, softmax and means: float only; lowering expands them into sums, tables, roots and floor divisions."""

from __future__ import annotations

import math

import numpy as np

from arithmos.ir.graph import Shape
from arithmos.ir.interval import Interval
from arithmos.ir.ops.op import Example, Op, Operand, expect
from arithmos.ir.ops.pool import OPS as POOL
from arithmos.ir.ops.pool import POOL_EXAMPLES, REDUCE_EXAMPLES
from arithmos.ir.ops.window import Pairs


def _batch_norm_infer(x: Shape, weight: Shape, bias: Shape, mean: Shape, var: Shape, *, eps: float) -> Shape:
    expect(len(x) >= 2, f"batch norm takes (batch, channel, ...), got {x}")
    expect({weight, bias, mean, var} == {(x[1],)}, f"batch norm of {x[1]} channels has parameters {weight}, {mean}")
    return x


def _batch_norm_run(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, mean: np.ndarray, var: np.ndarray, *, eps: float
) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias, per channel. Ioffe & Szegedy, arXiv 1502.03167."""
    axes = (-1, *[1] * (x.ndim - 2))
    scale = weight / np.sqrt(var + eps)
    return x * scale.reshape(axes) + (bias - mean * scale).reshape(axes)


def _layer_norm_infer(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, *, axes: int, eps: float
) -> Shape:
    expect(0 < axes < len(x), f"layer norm over the last {axes} axes of {x}")
    expect(weight is None or weight == x[-axes:], f"layer norm over {x[-axes:]} has a weight of {weight}")
    return x


def _layer_norm_run(
    x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, *, axes: int, eps: float
) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last `axes` axes. Ba, Kiros & Hinton, arXiv 1607.06450."""
    over = tuple(range(-axes, 0))
    centred = x - x.mean(axis=over, keepdims=True)
    y = centred / np.sqrt((centred * centred).mean(axis=over, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return np.asarray(y if bias is None else y + bias)


def _group_norm_infer(x: Shape, weight: Shape, bias: Shape, *, groups: int, eps: float) -> Shape:
    expect(len(x) >= 2 and x[1] % groups == 0, f"group norm of {x} in {groups} groups")
    expect(weight == bias == (x[1],), f"group norm of {x[1]} channels has parameters {weight}, {bias}")
    return x


def _group_norm_run(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, groups: int, eps: float) -> np.ndarray:
    """Layer norm over each group of channels and all positions, then per channel * weight + bias. arXiv 1803.08494."""
    grouped = x.reshape(x.shape[0], groups, -1)
    y = _layer_norm_run(grouped, axes=1, eps=eps).reshape(x.shape)
    axes = (-1, *[1] * (x.ndim - 2))
    return np.asarray(y * weight.reshape(axes) + bias.reshape(axes))


def _softmax_infer(x: Shape, *, axis: int) -> Shape:
    expect(0 <= axis < len(x) and x[axis] > 0, f"softmax over axis {axis} of {x}")
    return x


def _softmax_run(x: np.ndarray, *, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _avg_pool_infer(
    x: Shape, *, kernel: Shape, stride: Shape, padding: Pairs, count_padding: bool, divisor: int | None
) -> Shape:
    return POOL["sum_pool"].infer(x, kernel=kernel, stride=stride, padding=padding)


def window_sizes(shape: Shape, kernel: Shape, stride: Shape, padding: Pairs) -> np.ndarray:
    """How many real elements each window covers: integers of the pooled spatial shape."""
    ones = np.ones((1, 1, *shape[2:]), dtype=np.int64)
    return np.asarray(POOL["sum_pool"].run(ones, kernel=kernel, stride=stride, padding=padding)[0, 0])


def _avg_pool_run(
    x: np.ndarray, *, kernel: Shape, stride: Shape, padding: Pairs, count_padding: bool, divisor: int | None
) -> np.ndarray:
    """Window sum / divisor; divisor None: the window size, or the elements inside it if padding does not count."""
    total = POOL["sum_pool"].run(x, kernel=kernel, stride=stride, padding=padding)
    if divisor is not None:
        return np.asarray(total / x.dtype.type(divisor))
    if count_padding:
        return np.asarray(total / x.dtype.type(math.prod(kernel)))
    return np.asarray(total / window_sizes(x.shape, kernel, stride, padding).astype(x.dtype))


def _mean_run(x: np.ndarray, *, axes: Shape, keepdims: bool) -> np.ndarray:
    return np.asarray(x.mean(axis=axes, keepdims=keepdims))


CHANNELS = (Operand((3,)),) * 3 + (Operand((3,), Interval(1, 9)),)
AVERAGE = {"count_padding": False, "divisor": None}

OPS = {
    "batch_norm": Op(
        _batch_norm_infer, _batch_norm_run, None, (Example((Operand((-1, 3, 4, 4)), *CHANNELS), {"eps": 1e-5}),)
    ),
    "layer_norm": Op(
        _layer_norm_infer, _layer_norm_run, None, (Example((Operand((-1, 3, 8)),), {"axes": 1, "eps": 1e-5}),)
    ),
    "group_norm": Op(
        _group_norm_infer,
        _group_norm_run,
        None,
        (Example((Operand((-1, 4, 3)), Operand((4,)), Operand((4,))), {"groups": 2, "eps": 1e-5}),),
    ),
    "softmax": Op(_softmax_infer, _softmax_run, None, (Example((Operand((-1, 3, 5)),), {"axis": 2}),)),
    "avg_pool": Op(
        _avg_pool_infer, _avg_pool_run, None, tuple(Example(e.operands, {**e.attrs, **AVERAGE}) for e in POOL_EXAMPLES)
    ),
    "reduce_mean": Op(POOL["reduce_sum"].infer, _mean_run, None, REDUCE_EXAMPLES),
}
