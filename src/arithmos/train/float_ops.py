"""The ops that float graphs alone have, on torch tensors; `real_ops` has the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from arithmos.ir.graph import Shape
from arithmos.ir.ops.function import FUNCTIONS
from arithmos.ir.ops.norm import window_sizes
from arithmos.ir.ops.window import Pairs
from arithmos.train.real_ops import REAL


def _batch_norm(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, eps: float) -> Tensor:
    return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)


def _layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, axes: int, eps: float
) -> Tensor:
    return functional.layer_norm(x, x.shape[-axes:], weight, bias, eps)


def _group_norm(x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float) -> Tensor:
    return functional.group_norm(x, groups, weight, bias, eps)


def _avg_pool(
    x: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs, count_padding: bool, divisor: int | None
) -> Tensor:
    total = REAL["sum_pool"](x, kernel=kernel, stride=stride, padding=padding)
    if divisor is not None or count_padding:
        return total / (divisor or math.prod(kernel))
    return total / torch.from_numpy(window_sizes(tuple(x.shape), kernel, stride, padding)).to(x)


ROWS: dict[str, Callable[..., Tensor]] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "softmax": lambda x, *, axis: x.softmax(dim=axis),
    "avg_pool": _avg_pool,
    "reduce_mean": lambda x, *, axes, keepdims: x.mean(dim=axes, keepdim=keepdims),
    "div": torch.div,
    "relu": torch.relu,
    "leaky_relu": lambda x, *, slope: functional.leaky_relu(x, slope),
    "elu": lambda x, *, alpha: functional.elu(x, alpha),
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": functional.hardsigmoid,
    "silu": functional.silu,
    "hard_swish": functional.hardswish,
    "mish": functional.mish,
    "softplus": lambda x, *, beta, threshold: functional.softplus(x, beta, threshold),
    "gelu": lambda x, *, approximate: functional.gelu(x, approximate=approximate),
    "tanh": torch.tanh,
    "erf": torch.erf,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "pow": lambda x, *, exponent: x.pow(exponent),
    "abs": torch.abs,
    "step": lambda x: (x > 0).to(x.dtype),
    "sin": torch.sin,
    "cos": torch.cos,
}
"""Every op of float graphs that integers lack."""

assert ROWS.keys() >= FUNCTIONS.keys(), "a function without a row"
