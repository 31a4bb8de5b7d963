"""Every witness of a small constraint system for given inputs, by branching on bits: complete, at any width.

A wire with a constraint w * (w - 1) = 0 is 0 or 1. A constraint with one unknown gives it (or two roots). A constraint
A * B = 0 whose sides cannot vanish, whatever the bits that are left, ends the branch: that keeps a decomposition of
forty bits to one path. What no constraint determines is reported as free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from arithmos.targets.zk.combination import Combination
from arithmos.targets.zk.field import MODULUS as P
from arithmos.targets.zk.r1cs import with_one
from arithmos.targets.zk.system import Block

Row = dict[int, int]
FREE = None


@dataclass
class Constraint:
    """a * b = c, each {wire: coefficient}."""

    a: Row
    b: Row
    c: Row
    wires: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.wires = frozenset(self.a) | frozenset(self.b) | frozenset(self.c)


def constraints_of(blocks: list[Block]) -> list[Constraint]:
    """The constraints of blocks, one by one."""
    found = []
    for block in blocks:
        sides = [_rows(side) for side in (block.a, block.b, block.c)]
        found += [Constraint(a, b, c) for a, b, c in zip(*sides, strict=True)]
    return found


def _rows(side: Combination) -> list[Row]:
    side = with_one(side)
    rows = []
    for first, last in zip(side.starts[:-1], side.starts[1:], strict=True):
        row: Row = {}
        for wire, coefficient in zip(side.wires[first:last], side.coefficients[first:last], strict=True):
            row[int(wire)] = row.get(int(wire), 0) + int(coefficient)
        rows.append({wire: c for wire, c in row.items() if c})
    return rows


def solutions(system: list[Constraint], known: dict[int, int], n_wires: int) -> Iterator[dict[int, int | None]]:
    """Every assignment of the wires 0 .. n_wires - 1 that satisfies the system and agrees with what is known."""
    bits = {w for c in system if (w := _bit(c)) is not None}
    state = {0: 1, **{wire: value % P for wire, value in known.items()}}
    yield from _search(system, state, bits, n_wires)


def _bit(c: Constraint) -> int | None:
    """The wire of w * (w - 1) = 0."""
    if len(c.a) == 1 and not c.c and 0 not in c.a:
        ((wire, coefficient),) = c.a.items()
        if coefficient == 1 and c.b == {wire: 1, 0: -1}:
            return wire
    return None


def _search(
    system: list[Constraint], state: dict[int, int], bits: set[int], n_wires: int
) -> Iterator[dict[int, int | None]]:
    state = dict(state)
    moved = True
    branch: tuple[int, list[int]] | None = None
    left = system
    while moved:
        moved, branch, rest = False, None, []
        for c in left:
            unknown = [w for w in c.wires if w not in state]
            if not unknown:
                if (_sum(c.a, state) * _sum(c.b, state) - _sum(c.c, state)) % P:
                    return
                continue
            rest.append(c)
            if len(unknown) == 1:
                found = _roots(c, unknown[0], state)
                if found is None:
                    continue
                if not found:
                    return
                if len(found) == 1:
                    state[unknown[0]] = found[0]
                    moved = True
                elif branch is None or unknown[0] not in bits:
                    branch = unknown[0], found
            elif not c.c and _excluded(c, state, bits):
                return
        left = rest
    if branch is None and not [w for c in left for w in c.wires if w not in state]:
        yield {w: state.get(w, FREE) for w in range(n_wires)}
        return
    wire, values = (
        _heaviest(left, state, bits) or branch or (next(w for c in left for w in c.wires if w not in state), [])
    )
    if not values:  # nothing determines it: it is free, and two values stand for all
        values = [5, 7]
    for value in values:
        yield from _search(left, {**state, wire: value}, bits, n_wires)


def _heaviest(system: list[Constraint], state: dict[int, int], bits: set[int]) -> tuple[int, list[int]] | None:
    """The unknown bit of the largest weight in a constraint whose other unknowns are bits: it prunes most."""
    best, found = 0, None
    for c in system:
        unknown = [w for w in c.wires if w not in state]
        if not c.c and len(unknown) > 1 and all(w in bits for w in unknown):
            for w in unknown:
                if (weight := abs(c.a.get(w, 0))) > best:
                    best, found = weight, w
    return None if found is None else (found, [0, 1])


def _excluded(c: Constraint, state: dict[int, int], bits: set[int]) -> bool:
    return all(_never_zero(side, state, bits) for side in (c.a, c.b))


def _never_zero(side: Row, state: dict[int, int], bits: set[int]) -> bool:
    lo = hi = 0
    for wire, coefficient in side.items():
        if wire in state:
            value = state[wire] if state[wire] <= P // 2 else state[wire] - P
            if abs(value) >> 100:
                return False
            lo, hi = lo + coefficient * value, hi + coefficient * value
        elif wire in bits:
            lo, hi = lo + min(coefficient, 0), hi + max(coefficient, 0)
        else:
            return False
    return lo > 0 or hi < 0


def _sum(side: Row, state: dict[int, int]) -> int:
    return sum(coefficient * state[wire] for wire, coefficient in side.items())


def _roots(c: Constraint, wire: int, state: dict[int, int]) -> list[int] | None:
    """The values of the one unknown; None where every value will do."""
    (a0, a1), (b0, b1), (c0, c1) = (_split(side, wire, state) for side in (c.a, c.b, c.c))
    if a1 * b1 % P and c0 % P == c1 == 0:
        return sorted({_over(-a0, a1), _over(-b0, b1)})
    if a1 * b1 % P:
        return _quadratic(a1 * b1, a0 * b1 + a1 * b0 - c1, a0 * b0 - c0)
    slope, rest = (a0 * b1 + a1 * b0 - c1) % P, (c0 - a0 * b0) % P
    if slope:
        return [_over(rest, slope if slope <= P // 2 else slope - P)]
    return None if rest == 0 else []


def _over(a: int, b: int) -> int:
    """a / b modulo p; at once where b is 1 or -1."""
    return a * b % P if b in (1, -1) else a * pow(b, -1, P) % P


def _quadratic(a: int, b: int, c: int) -> list[int]:
    """The roots of a x**2 + b x + c modulo p, a not 0."""
    root = square_root((b * b - 4 * a * c) % P)
    return [] if root is None else sorted({(sign * root - b) * pow(2 * a, -1, P) % P for sign in (1, -1)})


def square_root(x: int) -> int | None:
    """A square root modulo p (Tonelli, Shanks), None where there is none. 5 is no square modulo p."""
    if x == 0:
        return 0
    if pow(x, (P - 1) // 2, P) != 1:
        return None
    twos = ((P - 1) & -(P - 1)).bit_length() - 1
    odd = (P - 1) >> twos
    z, r, t = pow(5, odd, P), pow(x, (odd + 1) // 2, P), pow(x, odd, P)
    while t != 1:
        order = next(i for i in range(1, twos) if pow(t, 1 << i, P) == 1)
        step = pow(z, 1 << (twos - order - 1), P)
        z, twos, r, t = step * step % P, order, r * step % P, t * step * step % P
    return r


def _split(side: Row, wire: int, state: dict[int, int]) -> tuple[int, int]:
    return sum(k * state[w] for w, k in side.items() if w != wire), side.get(wire, 0)


def values_of(combination: Combination, solution: dict[int, int | None]) -> list[int | None]:
    """What the combinations are under a solution; None where a wire is free. Negative numbers as integers."""
    found: list[int | None] = []
    for row in _rows(combination):
        terms = [(k, solution[w]) for w, k in row.items()]
        if any(v is FREE for _, v in terms):
            found.append(None)
            continue
        total = sum(k * v for k, v in terms if v is not None) % P
        found.append(total if total <= P // 2 else total - P)
    return found
