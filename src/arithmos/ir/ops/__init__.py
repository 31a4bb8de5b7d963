"""The op tables: FLOAT, INT and POLY, name -> row. Ops with a range rule exist in FLOAT and INT; the others in FLOAT
only, but for those that integers alone have and for `polynomial`."""

from __future__ import annotations

from arithmos.ir.ops import arithmetic, function, layout, linear, lookup, norm, polynomial, pool
from arithmos.ir.ops.op import Op

INTEGER_ONLY = frozenset({"requantize", "shift_right", "floor_div", "isqrt", "table"})

ALL: dict[str, Op] = linear.OPS | arithmetic.OPS | pool.OPS | layout.OPS | lookup.OPS | norm.OPS | function.OPS

INT: dict[str, Op] = {name: op for name, op in ALL.items() if op.bound is not None}
FLOAT: dict[str, Op] = {name: op for name, op in ALL.items() if name not in INTEGER_ONLY}

AFFINE = ("conv", "linear", "matmul", "add", "sub", "mul", "sum_pool", "reduce_sum", *layout.OPS)
"""Ops made of sums and products alone, and of moving values."""

POLY: dict[str, Op] = {name: FLOAT[name] for name in (*AFFINE, "max_pool")} | polynomial.OPS
"""What is computed by additions and multiplications. max_pool is no such thing: networks hold it that were trained with
square activations beside exact maxima."""

OP_SETS: dict[str, dict[str, Op]] = {"float": FLOAT, "int": INT, "poly": POLY}
