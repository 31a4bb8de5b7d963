"""The op tables: FLOAT and INT, name -> row. Ops with a range rule exist in both; the others in float only."""

from __future__ import annotations

from arithmos.ir.ops import arithmetic, function, layout, linear, lookup, norm, pool
from arithmos.ir.ops.op import Op

INTEGER_ONLY = frozenset({"requantize", "shift_right", "floor_div", "isqrt", "table"})

ALL: dict[str, Op] = linear.OPS | arithmetic.OPS | pool.OPS | layout.OPS | lookup.OPS | norm.OPS | function.OPS

INT: dict[str, Op] = {name: op for name, op in ALL.items() if op.bound is not None}
FLOAT: dict[str, Op] = {name: op for name, op in ALL.items() if name not in INTEGER_ONLY}

OP_SETS: dict[str, dict[str, Op]] = {"float": FLOAT, "int": INT}
