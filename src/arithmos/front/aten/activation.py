"""Functions of one number: activations and elementary functions, by their float op or written out."""

from __future__ import annotations

import math
from functools import partial

from arithmos.front.aten.layout import part
from arithmos.front.call import Call, Folded, Refusal, Tensor, own_axis

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Klambauer et al., arXiv 1706.02515."""

PLAIN = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "silu": "silu",
    "hardswish": "hard_swish",
    "mish": "mish",
    "tanh": "tanh",
    "erf": "erf",
    "exp": "exp",
    "log": "log",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "reciprocal": "reciprocal",
    "abs": "abs",
    "absolute": "abs",
    "sin": "sin",
    "cos": "cos",
}
"""ATen name -> float op of the same function."""


def _leaky_relu(call: Call, x: Tensor, slope: float = 0.01) -> Tensor:
    return call.emit("leaky_relu", x, slope=float(slope))


def _elu(call: Call, x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """scale * elu(input_scale * x) for x < 0 and scale * x above."""
    if input_scale != 1:
        raise Refusal("its input is scaled on one side only", "use torch.nn.functional.elu or celu")
    y = call.emit("elu", x, alpha=float(alpha), suffix="" if scale == 1 else "elu")
    return y if scale == 1 else call.emit("mul", y, scale)


def _selu(call: Call, x: Tensor) -> Tensor:
    return _elu(call, x, SELU_ALPHA, SELU_SCALE)


def _celu(call: Call, x: Tensor, alpha: float = 1) -> Tensor:
    """alpha * elu(x / alpha)."""
    if alpha == 1:
        return _elu(call, x)
    scaled = call.emit("mul", x, 1 / alpha, suffix="scaled")
    return call.emit("mul", call.emit("elu", scaled, alpha=1.0, suffix="elu"), alpha)


def _prelu(call: Call, x: Tensor, weight: Tensor) -> Tensor:
    """max(x, 0) + weight * min(x, 0), a weight for each channel."""
    if isinstance(weight, Folded) and weight.tensor.numel() == 1:
        return call.emit("leaky_relu", x, slope=weight.tensor.double().item())
    if not isinstance(weight, Folded):
        raise Refusal("its slopes are computed", "use a parameter")
    slopes = weight.tensor.reshape(-1, *[1] * max(len(x.shape) - 2, 0))
    below = call.emit("clip", x, lo=None, hi=0, suffix="below")
    scaled = call.emit("mul", below, Folded(slopes, tuple(slopes.shape), weight.name), suffix="scaled")
    return call.emit("add", call.emit("relu", x, suffix="above"), scaled)


def _gelu(call: Call, x: Tensor, approximate: str = "none") -> Tensor:
    return call.emit("gelu", x, approximate=approximate)


def _softplus(call: Call, x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    return call.emit("softplus", x, beta=float(beta), threshold=float(threshold))


def _log_sigmoid(call: Call, x: Tensor) -> Tensor:
    """-softplus(-x)."""
    negative = call.emit("mul", x, -1, suffix="negative")
    return call.emit("mul", call.emit("softplus", negative, beta=1.0, threshold=1e4, suffix="softplus"), -1)


def _softshrink(call: Call, x: Tensor, edge: float = 0.5) -> Tensor:
    return call.emit("sub", x, call.emit("clip", x, lo=-edge, hi=edge, suffix="middle"))


def _hardshrink(call: Call, x: Tensor, edge: float = 0.5) -> Tensor:
    outside = call.emit("sub", call.emit("abs", x, suffix="distance"), edge, suffix="gap")
    return call.emit("mul", x, call.emit("step", outside, suffix="outside"))


def _sign(call: Call, x: Tensor) -> Tensor:
    """step(x) - step(-x)."""
    below = call.emit("step", call.emit("mul", x, -1, suffix="negative"), suffix="below")
    return call.emit("sub", call.emit("step", x, suffix="above"), below)


def _glu(call: Call, x: Tensor, dim: int = -1) -> Tensor:
    axis = own_axis(x, dim)
    half = x.shape[axis] // 2
    gate = call.emit("sigmoid", part(call, x, axis, half, 1, half, "gate"), suffix="sigmoid")
    return call.emit("mul", part(call, x, axis, 0, 1, half, "value"), gate)


def _plain(call: Call, x: Tensor, *, op: str) -> Tensor:
    return call.emit(op, x)


def _scaled_log(call: Call, x: Tensor, *, factor: float) -> Tensor:
    return call.emit("mul", call.emit("log", x, suffix="log"), factor)


def _log1p(call: Call, x: Tensor) -> Tensor:
    return call.emit("log", call.emit("add", x, 1, suffix="more"))


def _expm1(call: Call, x: Tensor) -> Tensor:
    return call.emit("sub", call.emit("exp", x, suffix="exp"), 1)


def _exp2(call: Call, x: Tensor) -> Tensor:
    return call.emit("exp", call.emit("mul", x, math.log(2), suffix="scaled"))


def _tan(call: Call, x: Tensor) -> Tensor:
    return call.emit("div", call.emit("sin", x, suffix="sin"), call.emit("cos", x, suffix="cos"))


def _rrelu(
    call: Call, x: Tensor, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, *_: object
) -> Tensor:
    if training:
        raise Refusal("its slope is random", "put the module into eval mode")
    return call.emit("leaky_relu", x, slope=(lower + upper) / 2)


ROWS = {
    **{f"aten.{name}.default": partial(_plain, op=op) for name, op in PLAIN.items()},
    "aten.leaky_relu.default": _leaky_relu,
    "aten.elu.default": _elu,
    "aten.selu.default": _selu,
    "aten.celu.default": _celu,
    "aten.prelu.default": _prelu,
    "aten._prelu_kernel.default": _prelu,
    "aten.rrelu.default": _rrelu,
    "aten.gelu.default": _gelu,
    "aten.softplus.default": _softplus,
    "aten.log_sigmoid.default": _log_sigmoid,
    "aten.softshrink.default": _softshrink,
    "aten.hardshrink.default": _hardshrink,
    "aten.sign.default": _sign,
    "aten.sgn.default": _sign,
    "aten.glu.default": _glu,
    "aten.log2.default": partial(_scaled_log, factor=1 / math.log(2)),
    "aten.log10.default": partial(_scaled_log, factor=1 / math.log(10)),
    "aten.log1p.default": _log1p,
    "aten.expm1.default": _expm1,
    "aten.exp2.default": _exp2,
    "aten.tan.default": _tan,
}
