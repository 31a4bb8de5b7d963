"""Tables of real functions: computed once in high precision, so that no result depends on a machine's libm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from arithmos.errors import RangeError
from arithmos.ir.interval import Interval

DIGITS = 50


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _gelu(x: Any, *, approximate: str) -> Any:
    if approximate == "tanh":
        return x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))
    return x / 2 * (1 + mpmath.erf(x / mpmath.sqrt(2)))


def _softplus(x: Any, *, beta: float, threshold: float) -> Any:
    return x if x * beta > threshold else mpmath.log1p(mpmath.exp(beta * x)) / beta


def _hard_sigmoid(x: Any) -> Any:
    return min(max(x + 3, 0), 6) / mpmath.mpf(6)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda x: max(x, 0),
    "step": lambda x: int(x > 0),
    "leaky_relu": lambda x, *, slope: x if x >= 0 else x * mpmath.mpf(slope),
    "elu": lambda x, *, alpha: x if x > 0 else alpha * mpmath.expm1(x),
    "sigmoid": _sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "hard_swish": lambda x: x * _hard_sigmoid(x),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "softplus": _softplus,
    "gelu": _gelu,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "pow": lambda x, *, exponent: mpmath.power(x, exponent),
    "abs": abs,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
}
"""The float functions of arithmos.ir.ops.function, on mpmath numbers."""


def entries(
    function: str, x_step: float, x_range: Interval, y_step: float, y_range: Interval, **attrs: Any
) -> np.ndarray:
    """T[i] = clip(floor(f(x_step * (x_range.lo + i)) / y_step + 1/2), y_range), in 50 digits.

    Both steps are taken as the exact rationals they are. Returns int64, one entry for each integer of x_range.
    Raises RangeError where f has no finite real value: all such inputs are named.
    """
    f = FUNCTIONS[function]
    undefined: list[int] = []
    table = np.zeros(x_range.hi - x_range.lo + 1, dtype=np.int64)
    with mpmath.workdps(DIGITS):
        step, out = mpmath.mpf(x_step), mpmath.mpf(y_step)
        for i, k in enumerate(range(x_range.lo, x_range.hi + 1)):
            try:
                y = f(step * k, **attrs)
            except (ZeroDivisionError, ValueError):
                y = mpmath.nan
            if not isinstance(y, int) and (isinstance(y, mpmath.mpc) or not mpmath.isfinite(y)):
                undefined.append(k)
            else:
                table[i] = min(max(int(mpmath.floor(y / out + mpmath.mpf(0.5))), y_range.lo), y_range.hi)
    if undefined:
        raise RangeError(
            f"'{function}' has no value for {len(undefined)} of the {table.size} inputs of its table",
            why=f"they are {x_step:.6g} * k for k from {undefined[0]} to {undefined[-1]}",
            fix="clamp the argument in the network to where the function is defined, for instance x.clamp(min=1e-3)",
        )
    return table
