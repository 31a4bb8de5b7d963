"""Proven sup norms: errors of polynomials on an interval, bounded by Taylor models in ball arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from arithmos.approx.composite import Composite, evaluate
from arithmos.approx.stagewise import split
from arithmos.errors import RangeError
from arithmos.extras import require
from arithmos.ir.ops.function import FUNCTIONS as FLOAT

BITS = 128
"""Precision of the balls: power-basis coefficients of degree 31 reach 2**40, and 80 bits stay."""

SLACK = 2.0**-13
"""The bound exceeds the largest error by at most this part of it: 0.0002 in log2."""

NARROWEST = 2.0**-44
FIRST_CELLS = 32


@dataclass(frozen=True, slots=True)
class _Model:
    """y = c_0 + c_1 s + c_2 s^2 + rho for every |s| <= r, |rho| <= rest: balls of python-flint."""

    c: tuple[Any, Any, Any]
    rest: Any


Error = Callable[[Any, Any], _Model]
"""(midpoint, radius) of a cell -> a model of the error on it."""


def relu_bound(composite: Composite) -> float:
    """An upper bound of max |relu(x) - x (1 + p(x)) / 2 - offset| over [-1, 1], a theorem.

    For odd stages the error is even, so that [0, 1] is covered by cells [m - r, m + r]; on each, every stage is
    expanded at the middle exactly and composed to second order with a bound of the rest (Makino & Berz, Taylor models
    and other validated functional inclusion methods, 2003), and the largest value of that parabola is taken. Cells
    whose bound exceeds the grid's largest error by more than SLACK are halved. Coefficients are the float64 numbers
    they are. Raises RangeError if a stage leaves [-1, 1], UsageError if an even coefficient is not 0. Needs the extra
    `polynomials`.
    """
    flint = require("flint", "polynomials")
    split(composite)
    with flint.ctx.workprec(BITS):
        powers = [_powers(stage, flint) for stage in composite.stages]
        for n, power in enumerate(powers[:-1], 1):
            _stays_inside(power, n, flint)
        offset = flint.arb(composite.offset)

        def error(middle: Any, radius: Any) -> _Model:
            y = _composed(powers, middle, radius, flint)
            return _half_gap(y, middle, radius, offset, flint)

        grid = np.sin(np.linspace(0, np.pi / 2, max(4096, 16 * math.prod(composite.degrees))))
        near = grid * (1 - evaluate(composite, grid)) / 2 - composite.offset
        return _supremum(error, 0.0, 1.0, float(np.abs(near).max()), flint)


def _logistic(x: Any) -> Any:
    return ((-1 * x).exp() + 1).inv()


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    flint = require("flint", "polynomials")
    if approximate == "tanh":
        root = (2 / flint.arb.pi()).sqrt()
        return x * _logistic(2 * root * (x + x * x * x * (flint.arb(44715) / 1000000)))
    return x * ((x * flint.arb(0.5).sqrt()).erf() + 1) / 2


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": _logistic,
    "silu": lambda x: x * _logistic(x),
    "gelu": _gelu,
    "tanh": lambda x: 1 - 2 * _logistic(-2 * x),
    "mish": lambda x: x * (1 - 2 * ((x.exp() + 1) * (x.exp() + 1) + 1).inv()),
    "erf": lambda x: x.erf(),
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "sqrt": lambda x: x.sqrt(),
    "rsqrt": lambda x: x.rsqrt(),
    "reciprocal": lambda x: x.inv(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
}
"""Smooth float functions of arithmos.ir.ops.function, on power series of balls."""


def function_bound(function: str, stage: np.ndarray, low: float, high: float, **attrs: Any) -> float:
    """An upper bound of max |f(x) - p(t)| over -1 <= t <= 1, x = (low + high) / 2 + (high - low) / 2 t, a theorem.

    function: one of FUNCTIONS. stage: coefficients of T_0(t), T_1(t), ... On a cell f is expanded at the middle to
    second order, and its third Taylor coefficient is enclosed over the whole cell. Needs the extra `polynomials`.
    """
    flint = require("flint", "polynomials")
    f = FUNCTIONS[function]
    with flint.ctx.workprec(BITS + 2 * len(stage)):
        power = _powers(stage, flint)
        centre, half = (flint.arb(low) + flint.arb(high)) / 2, (flint.arb(high) - flint.arb(low)) / 2
        zero, one = flint.arb(0), flint.arb(1)

        def error(middle: Any, radius: Any) -> _Model:
            at = centre + half * middle
            near = _taylor(f, at, half, attrs, flint)
            over = _taylor(f, at + half * flint.arb(0, radius), half, attrs, flint)
            p = _after(power, _Model((middle, one, zero), zero), radius, flint)
            rest = abs(over[3]) * radius * radius * radius + p.rest
            c0, c1, c2 = (near[k] - p.c[k] for k in range(3))
            return _Model((c0, c1, c2), flint.arb(rest.abs_upper()))

        t = np.cos(np.linspace(0, np.pi, max(4096, 64 * len(stage))))
        with np.errstate(all="ignore"):
            exact = FLOAT[function]((low + high) / 2 + (high - low) / 2 * t, **attrs)
        near = float(np.abs(exact - np.polynomial.chebyshev.chebval(t, stage)).max())
        noise = 2.0**-34 * float(np.abs(exact).max())  # below this cells would be many, and soon float64 says nothing
        return _supremum(error, -1.0, 1.0, near + noise, flint)


def _taylor(f: Callable[..., Any], at: Any, half: Any, attrs: dict[str, Any], flint: Any) -> list[Any]:
    """Taylor coefficients 0 to 3 of s -> f(at + half s)."""
    series = f(flint.arb_series([at, half], prec=4), **attrs)
    return [series[k] for k in range(4)]


def _supremum(error: Error, low: float, high: float, near: float, flint: Any) -> float:
    """A bound of max |error| over [low, high], at most (1 + SLACK) times the maximum; near: about the maximum."""
    goal, bound = near * (1 + SLACK), 0.0
    width = (high - low) / FIRST_CELLS
    cells = [(low + n * width, low + (n + 1) * width) for n in range(FIRST_CELLS)]
    cells[-1] = (cells[-1][0], high)
    while cells:
        a, b = cells.pop()
        middle = (a + b) / 2
        radius = flint.arb(max(_up(b - middle), _up(middle - a)))
        model = error(flint.arb(middle), radius)
        found = _parabola(model, radius)
        if found <= goal or b - a <= NARROWEST * (high - low):
            bound = max(bound, found)
        else:
            if (sure := float(model.c[0].abs_lower())) > goal:  # the grid had missed this much
                goal = sure * (1 + SLACK)
            cells += [(a, middle), (middle, b)]
    return bound


def _parabola(model: _Model, radius: Any) -> float:
    """A bound of max |c_0 + c_1 s + c_2 s^2| + rest over |s| <= radius, as a float64 not below it."""
    c0, c1, c2 = model.c
    if not (c0.is_finite() and c1.is_finite() and c2.is_finite() and model.rest.is_finite()):
        return math.inf
    ends = c0 + c2 * radius * radius
    slope = c1 * radius
    values = [_upper(ends + slope), _upper(ends - slope)]
    if not float(abs(c1).abs_lower()) > _up(2 * _upper(c2 * radius)):  # the turn may lie inside
        values.append(_upper(c0 - c1 * c1 / (4 * c2)) if not c2.contains(0) else math.inf)
        values[-1] = min(values[-1], _up(_up(_upper(c0) + _upper(slope)) + _upper(c2 * radius * radius)))
    return _up(max(values) + _upper(model.rest))


def _composed(powers: list[Any], middle: Any, radius: Any, flint: Any) -> _Model:
    """p(middle + s), |s| <= radius, through the stages."""
    zero = flint.arb(0)
    model = _Model((middle, flint.arb(1), zero), zero)
    for power in powers:
        model = _after(power, model, radius, flint)
    return model


def _after(power: Any, y: _Model, radius: Any, flint: Any) -> _Model:
    """q(y): q is expanded at c_0 exactly; with w = c_1 s + c_2 s^2 + rho, q = b_0 + b_1 w + b_2 w^2 + b_3 w^3 + ..."""
    c0, c1, c2 = y.c
    b = power(flint.arb_poly([c0, 1]))
    bend = abs(c2) * radius * radius + y.rest  # |w - c_1 s| <= bend
    most = abs(c1) * radius
    reach = (most + bend).abs_upper()
    ball = flint.arb(0, reach)
    high = b.right_shift(3)(ball) * ball * ball * ball
    rest = abs(b[1]) * y.rest + abs(b[2]) * bend * (2 * most + bend) + abs(high)
    return _Model((b[0], b[1] * c1, b[1] * c2 + b[2] * c1 * c1), flint.arb(rest.abs_upper()))


def _half_gap(y: _Model, middle: Any, radius: Any, offset: Any, flint: Any) -> _Model:
    """x (1 - y) / 2 - offset at x = middle + s."""
    d0, d1, d2 = (1 - y.c[0]) / 2, -y.c[1] / 2, -y.c[2] / 2
    most = abs(middle) + radius
    rest = most * y.rest / 2 + abs(d2) * radius**3
    return _Model((middle * d0 - offset, middle * d1 + d0, middle * d2 + d1), flint.arb(rest.abs_upper()))


def _powers(stage: np.ndarray, flint: Any) -> Any:
    """The stage in the power basis, with exact rational coefficients rounded once to balls."""
    total = flint.fmpq_poly([0])
    for k, c in enumerate(stage):
        if c:
            exact = Fraction(float(c))
            total += flint.fmpq_poly(flint.fmpz_poly.chebyshev_t(k)) * flint.fmpq(exact.numerator, exact.denominator)
    return flint.arb_poly(total)


def _stays_inside(power: Any, n: int, flint: Any) -> None:
    zero, one = flint.arb(0), flint.arb(1)

    def value(middle: Any, radius: Any) -> _Model:
        return _after(power, _Model((middle, one, zero), zero), radius, flint)

    cells = [(-1.0, 1.0)]
    while cells:
        a, b = cells.pop()
        middle = (a + b) / 2
        radius = flint.arb(_up((b - a) / 2))
        model = value(flint.arb(middle), radius)
        if _parabola(model, radius) <= 1:
            continue
        if float(model.c[0].abs_lower()) > 1 or b - a < NARROWEST:
            raise RangeError(
                f"stage {n} leaves [-1, 1]",
                why=f"it reaches {float(model.c[0].abs_upper())!r} at {middle!r}",
                fix="fold the range of the next stage into it",
            )
        cells += [(a, middle), (middle, b)]


def _upper(ball: Any) -> float:
    """A float64 that is at least |ball|."""
    return _up(float(ball.abs_upper()))


def _up(value: float) -> float:
    return math.nextafter(value, math.inf)
