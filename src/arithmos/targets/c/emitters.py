"""The coverage table of the C target: every int op and the function that writes its code."""

from __future__ import annotations

from collections.abc import Callable

from arithmos.ir.graph import Node
from arithmos.targets.c import moves, product, reduction, window
from arithmos.targets.c.emission import Function
from arithmos.targets.c.scalar import SCALAR, elementwise

Emit = Callable[[Function, Node], None]

ANCHORS: dict[str, Emit] = {
    "conv": product.conv,
    "linear": product.linear,
    "matmul": reduction.matmul,
    "max_pool": window.max_pool,
    "sum_pool": window.sum_pool,
    "reduce_sum": reduction.reduce_sum,
    "reduce_max": reduction.reduce_max,
    "argmax": reduction.argmax,
}
"""Ops with loops of their own, which end in one element that scalar ops can continue."""

EMIT: dict[str, Emit] = (
    ANCHORS
    | dict.fromkeys(SCALAR, elementwise)
    | {
        "reshape": moves.reshape,
        "concat": moves.concat,
        "pad": moves.pad,
        "gather": moves.gather,
    }
)
