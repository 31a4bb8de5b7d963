"""Real functions of one or two numbers: in float graphs only; lowering turns them into tables or integers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arithmos.ir.interval import Interval
from arithmos.ir.ops.op import Example, Op, Operand, broadcast

_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(x: np.ndarray, *, approximate: str) -> np.ndarray:
    """x * Phi(x), or 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))). Hendrycks & Gimpel, arXiv 1606.08415."""
    if approximate == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, element by element, in the type of x."""
    return np.asarray(_erf(x.astype(np.float64))).astype(x.dtype)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


def _softplus(x: np.ndarray, *, beta: float, threshold: float) -> np.ndarray:
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, *, slope: np.where(x >= 0, x, x * slope),
    "elu": lambda x, *, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "silu": lambda x: x * sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "softplus": _softplus,
    "gelu": _gelu,
    "tanh": np.tanh,
    "erf": erf,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "pow": lambda x, *, exponent: np.power(x, exponent),
    "abs": np.abs,
    "step": lambda x: (x > 0).astype(x.dtype),
    "sin": np.sin,
    "cos": np.cos,
}
"""Every float function of one number; `run` of the float op, and what a table of it is computed from."""

ATTRS: dict[str, dict[str, object]] = {
    "leaky_relu": {"slope": 0.1},
    "elu": {"alpha": 1.0},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "gelu": {"approximate": "none"},
    "pow": {"exponent": 2.0},
}

POSITIVE = Interval(1, 20)

OPS = {
    name: Op(lambda x, **_: x, run, None, (Example((Operand((-1, 3, 4), POSITIVE),), ATTRS.get(name, {})),))
    for name, run in FUNCTIONS.items()
} | {"div": Op(broadcast, lambda a, b: a / b, None, (Example((Operand((-1, 3)), Operand((3,), POSITIVE))),))}
