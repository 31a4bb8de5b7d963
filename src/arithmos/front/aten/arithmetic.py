"""Arithmetic, element by element: sums, products, quotients, bounds, comparisons and choices."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from arithmos.front.aten.layout import MASKED, finite_number
from arithmos.front.call import Call, Computed, Folded, Operand, Refusal, Tensor, dtype_of, full, shape_of
from arithmos.ir.ops.op import broadcast


def finite(x: Operand) -> Operand:
    """A number with infinities replaced by +-1e30 (see MASKED)."""
    if isinstance(x, Folded):
        return Folded(x.tensor.clamp(MASKED, -MASKED), x.shape, x.name) if x.dtype.is_floating_point else x
    return x if isinstance(x, Computed) else finite_number(x)


def times(call: Call, x: Operand, factor: float, suffix: str) -> Operand:
    """x * factor; nothing is added for 1."""
    return x if factor == 1 else call.emit("mul", x, factor, suffix=suffix)


def _add(call: Call, a: Operand, b: Operand, alpha: float = 1) -> Tensor:
    b = times(call, b, alpha, "scaled")
    return add_mask(call, b, a) if isinstance(a, Folded) else add_mask(call, a, b)


def add_mask(call: Call, x: Operand, mask: Operand, suffix: str = "") -> Computed:
    """x + mask; where a constant mask is minus infinity, or the lowest number of its type, the sum is MASKED."""
    if not isinstance(mask, Folded) or not (absent := mask.tensor <= MASKED).any():
        return call.join("add", x, mask, suffix=suffix)
    rest = mask.tensor.masked_fill(absent, 0)
    if rest.any():
        x = call.join("add", x, Folded(rest, mask.shape, f"{mask.name}.finite"), suffix="shifted")
    return call.join("where", Folded(absent, mask.shape, f"{mask.name}.absent"), MASKED, x, suffix=suffix)


def _sub(call: Call, a: Operand, b: Operand, alpha: float = 1) -> Tensor:
    return call.join("sub", a, times(call, b, alpha, "scaled"))


def _rsub(call: Call, a: Operand, b: Operand, alpha: float = 1) -> Tensor:
    return _sub(call, b, a, alpha)


def mul(call: Call, a: Operand, b: Operand, suffix: str = "") -> Tensor:
    """a * b."""
    return call.join("mul", a, b, suffix=suffix)


def divide(call: Call, a: Operand, b: Operand, suffix: str = "") -> Tensor:
    """a / b; by a constant it is a product with the reciprocals, in float64."""
    if isinstance(b, float | int) and b != 0:
        return call.emit("mul", a, 1.0 / b, suffix=suffix)
    if isinstance(b, Folded) and (b.tensor != 0).all():
        reciprocals = Folded(b.tensor.double().reciprocal(), b.shape, f"{b.name}.reciprocal")
        return call.join("mul", a, reciprocals, suffix=suffix)
    return call.join("div", a, b, suffix=suffix)


def _div(call: Call, a: Operand, b: Operand, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode:
        raise Refusal(
            f"it rounds computed values ({rounding_mode})", "divide without rounding, or round outside of the network"
        )
    return divide(call, a, b)


def _neg(call: Call, x: Tensor) -> Tensor:
    return call.emit("mul", x, -1)


def _maximum(call: Call, a: Operand, b: Operand) -> Tensor:
    return call.join("maximum", a, b)


def _minimum(call: Call, a: Operand, b: Operand) -> Tensor:
    """-max(-a, -b)."""
    return call.emit("mul", call.join("maximum", negated(call, a), negated(call, b), suffix="maximum"), -1)


def negated(call: Call, x: Operand) -> Operand:
    """-x, at once for what is known."""
    if isinstance(x, Folded):
        return Folded(-x.tensor, x.shape, f"{x.name}.negative")
    return call.emit("mul", x, -1, suffix="negative") if isinstance(x, Computed) else -x


def _clamp(call: Call, x: Tensor, lo: Operand | None = None, hi: Operand | None = None) -> Tensor:
    def bound(limit: Operand | None) -> Operand | None:
        number = limit.tensor.item() if isinstance(limit, Folded) and not limit.shape else limit
        return None if isinstance(number, float) and math.isinf(number) else number

    lo, hi = bound(lo), bound(hi)
    if not isinstance(lo, Computed | Folded) and not isinstance(hi, Computed | Folded):
        return call.emit("clip", x, lo=lo, hi=hi)
    if lo is not None:
        x = call.join("maximum", x, lo, suffix="" if hi is None else "raised")
    return x if hi is None else _minimum(call, x, hi)


def _clamp_max(call: Call, x: Tensor, hi: Operand) -> Tensor:
    return _clamp(call, x, None, hi)


def where(call: Call, condition: Tensor, a: Operand, b: Operand, suffix: str = "") -> Tensor:
    """a where the condition holds, else b; one of them alone where a constant condition always chooses it."""
    for value, always in ((a, True), (b, False)):
        if isinstance(condition, Folded) and isinstance(value, Computed):
            shape = broadcast(condition.shape, shape_of(a), shape_of(b))
            if value.shape == shape and bool((condition.tensor.bool() == always).all()):
                return value
    return call.join("where", condition, finite(a), finite(b), suffix=suffix)


def _where(call: Call, condition: Tensor, a: Operand, b: Operand) -> Tensor:
    return where(call, condition, a, b)


def _masked_fill(call: Call, x: Operand, mask: Tensor, value: Operand) -> Tensor:
    return where(call, mask, value, x)


def _threshold(call: Call, x: Tensor, threshold: float, value: float) -> Tensor:
    above = call.emit("step", call.emit("sub", x, threshold, suffix="above"), suffix="step")
    return call.emit("where", above, x, value)


def _compare(call: Call, a: Operand, b: Operand, *, swapped: bool = False, negative: bool = False) -> Tensor:
    """step(a - b), where step(d) is 1 for d > 0 and else 0; the other orders swap the sides or take 1 - step."""
    first, second = (b, a) if swapped else (a, b)
    gap = call.join("sub", first, second, suffix="gap")
    if not negative:
        return call.emit("step", gap)
    return call.emit("sub", 1, call.emit("step", gap, suffix="step"))


def _equal(call: Call, a: Operand, b: Operand, *, negative: bool = False) -> Tensor:
    """1 - step(abs(a - b)); without the 1 - for !=. No value of a graph is infinite (see MASKED)."""
    if isinstance(b, float) and math.isinf(b):
        return full(float(negative), call.shape, torch.bool, call.name)
    gap = call.emit("abs", call.join("sub", a, b, suffix="gap"), suffix="distance")
    return call.emit("step", gap) if negative else call.emit("sub", 1, call.emit("step", gap, suffix="step"))


def truth(call: Call, x: Operand) -> Operand:
    """x as a truth value: 1 where it is not 0."""
    if dtype_of(x) == torch.bool:
        return x
    if isinstance(x, Folded):
        return Folded(x.tensor != 0, x.shape, x.name)
    return call.emit("step", call.emit("abs", x, suffix="distance"), suffix="truth")


def _not(call: Call, x: Tensor) -> Tensor:
    return call.emit("sub", 1, truth(call, x))


def _and(call: Call, a: Operand, b: Operand) -> Tensor:
    return call.join("mul", truth(call, a), truth(call, b))


def _or(call: Call, a: Operand, b: Operand) -> Tensor:
    return call.join("maximum", truth(call, a), truth(call, b))


def _xor(call: Call, a: Operand, b: Operand) -> Tensor:
    return _equal(call, truth(call, a), truth(call, b), negative=True)


def _bits(rule: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Bit by bit is the same as by truth value only for booleans."""

    def checked(call: Call, *xs: Operand) -> Tensor:
        if any(dtype_of(x) != torch.bool for x in xs):
            raise Refusal("it works on the bits of integers", "use boolean masks")
        return rule(call, *xs)

    return checked


def square(call: Call, x: Operand, suffix: str = "") -> Tensor:
    """x * x."""
    return call.emit("mul", x, x, suffix=suffix)


NAMED_POWERS = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}


def _pow(call: Call, x: Tensor, exponent: Operand) -> Tensor:
    power = exponent.tensor.item() if isinstance(exponent, Folded) and exponent.tensor.numel() == 1 else exponent
    if isinstance(power, Computed | Folded):
        raise Refusal("the exponent is not one number", "write exp(y * log(x))")
    if power == 2:
        return square(call, x)
    if power in NAMED_POWERS:
        return call.emit(NAMED_POWERS[power], x)
    return call.emit("pow", x, exponent=float(power))


def _power_of_number(call: Call, base: float, x: Tensor) -> Tensor:
    if base <= 0:
        raise Refusal(f"it takes powers of {base}", "use a positive base")
    return call.emit("exp", call.emit("mul", x, math.log(base), suffix="scaled"))


def _addcmul(call: Call, x: Tensor, a: Tensor, b: Tensor, value: float = 1) -> Tensor:
    return call.join("add", x, times(call, mul(call, a, b, "product"), value, "scaled"))


def _addcdiv(call: Call, x: Tensor, a: Tensor, b: Tensor, value: float = 1) -> Tensor:
    return call.join("add", x, times(call, divide(call, a, b, "quotient"), value, "scaled"))


def _lerp(call: Call, a: Tensor, b: Tensor, weight: Operand) -> Tensor:
    return call.join("add", a, call.join("mul", call.join("sub", b, a, suffix="gap"), weight, suffix="share"))


def convert(call: Call, x: Tensor, *_: object) -> Tensor:
    """Another type: nothing to do, for a run chooses its precision and takes integers and booleans as floats."""
    if x.dtype == call.dtype or (x.dtype.is_floating_point and call.dtype.is_floating_point):
        return x
    if call.dtype == torch.bool:
        y = truth(call, x)
        assert isinstance(y, Computed | Folded)
        return y
    if x.dtype.is_floating_point:
        raise Refusal("it cuts computed numbers to integers", "keep them as floats; quantization chooses the integers")
    return x


def _floor_of_constant(call: Call, a: Operand, b: Operand) -> Tensor:
    return _div(call, a, b, "floor")


ORDERS = {
    "gt": partial(_compare),
    "lt": partial(_compare, swapped=True),
    "ge": partial(_compare, swapped=True, negative=True),
    "le": partial(_compare, negative=True),
    "eq": partial(_equal),
    "ne": partial(_equal, negative=True),
    "greater": partial(_compare),
    "less": partial(_compare, swapped=True),
}

ROWS = {
    **{f"aten.{name}.{kind}": rule for name, rule in ORDERS.items() for kind in ("Scalar", "Tensor")},
    "aten.add.Tensor": _add,
    "aten.add.Scalar": _add,
    "aten.sub.Tensor": _sub,
    "aten.sub.Scalar": _sub,
    "aten.subtract.Tensor": _sub,
    "aten.rsub.Scalar": _rsub,
    "aten.rsub.Tensor": _rsub,
    "aten.mul.Tensor": mul,
    "aten.mul.Scalar": mul,
    "aten.multiply.Tensor": mul,
    "aten.multiply.Scalar": mul,
    **{f"aten.{name}.{kind}": _div for name in ("div", "divide", "true_divide") for kind in ("Tensor", "Scalar")},
    "aten.div.Tensor_mode": _div,
    "aten.div.Scalar_mode": _div,
    "aten.floor_divide.default": _floor_of_constant,
    "aten.neg.default": _neg,
    "aten.negative.default": _neg,
    "aten.maximum.default": _maximum,
    "aten.max.other": _maximum,
    "aten.minimum.default": _minimum,
    "aten.min.other": _minimum,
    "aten.clamp.default": _clamp,
    "aten.clamp.Tensor": _clamp,
    "aten.clip.default": _clamp,
    "aten.clamp_min.default": _clamp,
    "aten.clamp_min.Tensor": _clamp,
    "aten.clamp_max.default": _clamp_max,
    "aten.clamp_max.Tensor": _clamp_max,
    "aten.hardtanh.default": lambda call, x, lo=-1.0, hi=1.0: _clamp(call, x, lo, hi),
    "aten.relu6.default": lambda call, x: _clamp(call, x, 0, 6),
    "aten.where.self": _where,
    "aten.where.ScalarOther": _where,
    "aten.where.ScalarSelf": _where,
    "aten.where.Scalar": _where,
    "aten.masked_fill.Scalar": _masked_fill,
    "aten.masked_fill.Tensor": _masked_fill,
    "aten.threshold.default": _threshold,
    "aten.logical_not.default": _not,
    "aten.logical_and.default": _and,
    "aten.logical_or.default": _or,
    "aten.logical_xor.default": _xor,
    "aten.bitwise_not.default": _bits(_not),
    **{f"aten.{name}.Tensor": _bits(_and) for name in ("bitwise_and", "__and__")},
    **{f"aten.{name}.Tensor": _bits(_or) for name in ("bitwise_or", "__or__")},
    **{f"aten.{name}.Tensor": _bits(_xor) for name in ("bitwise_xor", "__xor__")},
    "aten.square.default": square,
    "aten.pow.Tensor_Scalar": _pow,
    "aten.pow.Tensor_Tensor": _pow,
    "aten.pow.Scalar": _power_of_number,
    "aten.addcmul.default": _addcmul,
    "aten.addcdiv.default": _addcdiv,
    "aten.lerp.Scalar": _lerp,
    "aten.lerp.Tensor": _lerp,
    **{f"aten.to.{k}": convert for k in ("dtype", "dtype_layout", "device", "other", "prim_Device", "prim_dtype")},
    "aten._to_copy.default": convert,
    "aten.type_as.default": convert,
}
