"""No gadget has a second witness; without any one of its constraints it has one, and the search finds it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from arithmos.targets.zk.combination import Combination, Signal
from arithmos.targets.zk.gadgets.argmax import argmax
from arithmos.targets.zk.gadgets.argmax import constraints as argmax_constraints
from arithmos.targets.zk.gadgets.division import constraints as division_constraints
from arithmos.targets.zk.gadgets.division import floor_div
from arithmos.targets.zk.gadgets.domain import check_domain
from arithmos.targets.zk.gadgets.domain import constraints as domain_constraints
from arithmos.targets.zk.gadgets.isqrt import constraints as isqrt_constraints
from arithmos.targets.zk.gadgets.isqrt import isqrt
from arithmos.targets.zk.gadgets.maximum import maximum
from arithmos.targets.zk.gadgets.power import constraints as power_constraints
from arithmos.targets.zk.gadgets.power import power_of_two
from arithmos.targets.zk.gadgets.requantize import round_to, rounding
from arithmos.targets.zk.gadgets.selection import constraints as where_constraints
from arithmos.targets.zk.gadgets.selection import where
from arithmos.targets.zk.gadgets.table import constraints as table_constraints
from arithmos.targets.zk.gadgets.table import lookup
from arithmos.targets.zk.system import Block, Constraints, System
from targets.zk.solver import Constraint, constraints_of, solutions, values_of

ENTRIES = np.array([[3], [-7], [0], [11], [5]])


@dataclass(frozen=True)
class Case:
    """A gadget, what it computes, and the inputs it is tried on (all of a small range, or corners of a wide one)."""

    build: Callable[[System, list[Signal]], Signal]
    expected: Callable[..., int]
    inputs: list[tuple[int, ...]]


COUNTS = {
    "relu": rounding(0, -8, 7, 7).constraints,
    "rounded relu": rounding(2, -4, 3, 3).constraints,
    "saturated twice": rounding(1, -16, 15, 3).constraints,
    "saturated thrice": rounding(0, -4, 31, 3).constraints,
    "saturated far": rounding(0, -1, (1 << 13) - 1, 3).constraints,
    "symmetric": rounding(1, -8, 15, 6).constraints,
    "symmetric, wide": rounding(0, 0, 1023, 1022).constraints,
    "two bits": rounding(0, -4, 3, 2).constraints,
    "odd limit": rounding(1, -8, 15, 5).constraints,
    "wide": rounding(24, -(1 << 10), (1 << 10) - 1, 255).constraints,
    "wide maximum": 21 + 2,
    "argmax": argmax_constraints(3, 2),
    "division": division_constraints(3, 2),
    "isqrt": isqrt_constraints(3),
    "power": power_constraints(3),
    "table": table_constraints(3),
    "where bit": where_constraints(0, 1),
    "where number": where_constraints(-3, 4),
    "domain less one": domain_constraints(-7, 7),
    "domain odd": domain_constraints(0, 4),
}
"""What each formula says of a row."""


def _rounding(shift: int, lo: int, hi: int, limit: int, inputs: list[int]) -> Case:
    form = rounding(shift, lo, hi, limit)
    return Case(lambda c, x: round_to(c, x[0], form), lambda x: min(max(x >> shift, 0), limit), [(x,) for x in inputs])


def _corners(lo: int, hi: int, step: int) -> list[int]:
    rng = np.random.default_rng(0)
    found = {lo, lo + 1, -1, 0, 1, step - 1, step, hi - 1, hi, *(int(v) for v in rng.integers(lo, hi + 1, 6))}
    return sorted(v for v in found if lo <= v <= hi)


CASES = {
    "relu": _rounding(0, -8, 7, 7, list(range(-8, 8))),
    "rounded": _rounding(2, 0, 7, 7, list(range(32))),
    "rounded relu": _rounding(2, -4, 3, 3, list(range(-16, 16))),
    "saturated once": _rounding(1, -8, 7, 3, list(range(-16, 16))),
    "saturated twice": _rounding(1, -16, 15, 3, list(range(-32, 32))),
    "saturated thrice": _rounding(0, -4, 31, 3, list(range(-4, 32))),
    "saturated four times": _rounding(0, 0, 63, 3, list(range(64))),
    "saturated far": _rounding(0, -1, (1 << 13) - 1, 3, [-1, 0, 1, 2, 3, 4, 5, 8, 100, 4096, 8191]),
    "symmetric": _rounding(1, -8, 15, 6, list(range(-16, 32))),
    "symmetric, never over": _rounding(0, -16, 15, 14, list(range(-16, 16))),
    "symmetric, wide": _rounding(0, 0, 1023, 1022, [0, 1, 2, 511, 512, 1021, 1022, 1023]),
    "two bits": _rounding(0, -4, 3, 2, list(range(-4, 4))),
    "odd limit": _rounding(1, -8, 15, 5, list(range(-16, 32))),
    "wide": _rounding(24, -(1 << 10), (1 << 10) - 1, 255, _corners(-(1 << 34), (1 << 34) - 1, 1 << 24)),
    "maximum": Case(lambda c, x: maximum(c, x[0], x[1], 3), max, [(a, b) for a in range(-3, 5) for b in range(-3, 5)]),
    "wide maximum": Case(
        lambda c, x: maximum(c, x[0], x[1], 21),
        max,
        [(a, b) for a in (-9, 0, (1 << 20) - 1) for b in (-(1 << 20), 0, 7)],
    ),
    "argmax": Case(
        lambda c, x: argmax(c, x, 2),
        lambda *x: x.index(max(x)),
        [(a, b, d) for a in range(3) for b in range(3) for d in range(3)],
    ),
    "division": Case(
        lambda c, x: floor_div(c, x[0], x[1], -3, 3, 2),
        lambda a, b: a // b,
        [(a, b) for b in range(1, 5) for a in range(-3 * b, 5 * b)],
    ),
    "isqrt": Case(lambda c, x: isqrt(c, x[0], 3), math.isqrt, [(x,) for x in range(64)]),
    "power": Case(lambda c, x: power_of_two(c, x[0], 3), lambda s: 1 << s, [(s,) for s in range(8)]),
    "table": Case(lambda c, x: lookup(c, x[0], ENTRIES)[0], lambda x: int(ENTRIES[x, 0]), [(x,) for x in range(5)]),
    "where bit": Case(
        lambda c, x: where(c, x[0], x[1], x[2], 0, 1),
        lambda s, a, b: a if s else b,
        [(s, a, b) for s in (0, 1) for a, b in ((3, 5), (-2, 7))],
    ),
    "where number": Case(
        lambda c, x: where(c, x[0], x[1], x[2], -3, 4),
        lambda s, a, b: a if s else b,
        [(s, a, b) for s in range(-3, 5) for a, b in ((3, 5), (-2, 7))],
    ),
    "domain": Case(lambda c, x: _domain(c, x, -4, 3), lambda x: x, [(x,) for x in range(-4, 4)]),
    "domain less one": Case(lambda c, x: _domain(c, x, -7, 7), lambda x: x, [(x,) for x in range(-7, 8)]),
    "domain odd": Case(lambda c, x: _domain(c, x, 0, 4), lambda x: x, [(x,) for x in range(5)]),
}


def _domain(c: System, x: list[Signal], lo: int, hi: int) -> Signal:
    check_domain(c, x[0], lo, hi)
    return x[0]


@dataclass
class Made:
    """One row of a gadget as a system."""

    constraints: list[Constraint]
    output: Combination
    n_inputs: int
    n_wires: int

    def witnesses(self, case_input: tuple[int, ...], without: int = -1, most: int = 2) -> list[dict[int, int | None]]:
        kept = [c for i, c in enumerate(self.constraints) if i != without]
        known = {i + 1: value for i, value in enumerate(case_input)}
        found = []
        for solution in solutions(kept, known, self.n_wires):
            found.append(solution)
            if len(found) == most:
                break
        return found


def made(case: Case) -> Made:
    blocks: list[Block] = []
    system = Constraints(blocks.append)
    inputs: list[Signal] = [system.new(1) for _ in case.inputs[0]]
    output = case.build(system, inputs)
    assert isinstance(output, Combination)
    return Made(constraints_of(blocks), output, len(inputs), system.n_wires)


@pytest.mark.parametrize("name", CASES)
def test_one_witness_and_the_right_output(name: str) -> None:
    case = CASES[name]
    gadget = made(case)
    for given in case.inputs:
        found = gadget.witnesses(given)
        assert len(found) == 1, (given, found)
        assert None not in found[0].values(), "every auxiliary value is determined"
        assert values_of(gadget.output, found[0]) == [case.expected(*given)], given


@pytest.mark.parametrize("name", COUNTS)
def test_the_formula_counts(name: str) -> None:
    assert len(made(CASES[name]).constraints) == COUNTS[name]


@pytest.mark.parametrize("name", CASES)
def test_every_constraint_is_needed(name: str) -> None:
    case = CASES[name]
    gadget = made(case)
    for i in range(len(gadget.constraints)):
        assert any(_second(gadget, case, given, i) for given in case.inputs), f"constraint {i} is missed by the search"


def _second(gadget: Made, case: Case, given: tuple[int, ...], without: int) -> bool:
    found = gadget.witnesses(given, without, most=64)
    return len(found) > 1 or any(None in solution.values() for solution in found)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("domain")])
def test_nothing_outside_the_domain(name: str) -> None:
    case = CASES[name]
    gadget = made(case)
    lo, hi = case.inputs[0][0], case.inputs[-1][0]
    for x in (*range(lo - 20, lo), *range(hi + 1, hi + 20)):
        assert gadget.witnesses((x,)) == []


def test_a_range_of_one_number_is_an_equation() -> None:
    gadget = made(Case(lambda c, x: _domain(c, x, 3, 3), lambda x: x, [(3,)]))
    assert len(gadget.constraints) == domain_constraints(3, 3)
    assert [len(gadget.witnesses((x,))) for x in (2, 3, 4, 1 << 200)] == [0, 1, 0, 0]
