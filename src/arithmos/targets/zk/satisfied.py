"""Does a witness satisfy every constraint, exactly modulo p? In numpy, without a prover; the first one that fails is
named.

Almost all numbers are small: a row whose sums stay below 2**62 is summed in int64, and A * B = C is then compared
modulo 2**64 and modulo three primes, whose product exceeds |A * B - C| < 2**125 (and p exceeds it too, so that
equality modulo p is equality). The few rows with a number that is large are computed in Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from arithmos.errors import UsageError
from arithmos.targets.zk.combination import Combination
from arithmos.targets.zk.field import MODULUS, integer, signed
from arithmos.targets.zk.r1cs import Part

_PRIMES = (2147483647, 2147483629, 2147483587)
_SAFE = float(1 << 62)


@dataclass(frozen=True, slots=True)
class Failure:
    """The first constraint that does not hold: its number, what its sides are modulo p, and how many fail in all."""

    constraint: int
    a: int
    b: int
    c: int
    n_failed: int


def satisfied(parts: Iterable[Part], witness: np.ndarray, n_wires: int) -> Failure | None:
    """None if every constraint holds. parts: a system as `read_parts` gives it; witness: (n, 4) uint64, `read_wtns`.

    Raises UsageError for a witness of another number of wires, of elements outside the field, or whose wire 0 is not 1.
    """
    _admit(witness, n_wires)
    values, small = signed(witness)
    first, n_failed = None, 0
    for part in parts:
        failed = np.flatnonzero(_broken(part, witness, values, small))
        n_failed += failed.size
        if failed.size and first is None:
            row = int(failed[0])
            first = (part.first + row, *_exact(part, witness, row))
    return None if first is None else Failure(*first, n_failed)


def _broken(part: Part, witness: np.ndarray, values: np.ndarray, small: np.ndarray) -> np.ndarray:
    """True for each constraint that does not hold."""
    (a, b, c), exact = zip(*(_summed(side, values, small) for side in part.sides), strict=True)
    easy = exact[0] & exact[1] & exact[2]
    for side, term in part.wide:
        easy[np.searchsorted(part.sides[side].starts, term, side="right") - 1] = False
    wrong: np.ndarray = a * b != c  # modulo 2**64
    large = np.flatnonzero(easy & (np.abs(a.astype(np.float64)) * np.abs(b.astype(np.float64)) >= _SAFE))
    for prime in _PRIMES:
        wrong[large] |= (a[large] % prime) * (b[large] % prime) % prime != c[large] % prime
    for row in np.flatnonzero(~easy):
        x, y, z = _exact(part, witness, int(row))
        wrong[row] = (x * y - z) % MODULUS != 0
    return wrong


def _summed(side: Combination, values: np.ndarray, small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of each row modulo 2**64, and where it is the sum itself, all of whose numbers are small."""
    factor = values[side.wires]
    sizes = np.abs(side.coefficients.astype(np.float64)) * np.abs(factor.astype(np.float64))
    sizes[~small[side.wires]] = np.inf
    return _rows(side, side.coefficients * factor), _peaks(side, sizes) < _SAFE


def _rows(side: Combination, terms: np.ndarray) -> np.ndarray:
    ends = np.concatenate([[0], np.cumsum(terms)])
    return np.asarray(ends[side.starts[1:]] - ends[side.starts[:-1]])


def _peaks(side: Combination, sizes: np.ndarray) -> np.ndarray:
    """An upper bound on the sum of each row: the largest term times the number of terms."""
    counts = side.counts
    filled = np.flatnonzero(counts)
    peaks = np.zeros(len(side))
    if filled.size:
        peaks[filled] = np.maximum.reduceat(sizes, side.starts[:-1][filled]) * counts[filled]
    return peaks


def _exact(part: Part, witness: np.ndarray, row: int) -> tuple[int, int, int]:
    """The sides of one constraint modulo p."""
    found = []
    for k, side in enumerate(part.sides):
        terms = range(int(side.starts[row]), int(side.starts[row + 1]))
        coefficients = (part.wide.get((k, term), int(side.coefficients[term])) for term in terms)
        elements = (integer(witness[side.wires[term]]) for term in terms)
        found.append(sum(c * v for c, v in zip(coefficients, elements, strict=True)) % MODULUS)
    return found[0], found[1], found[2]


def _admit(witness: np.ndarray, n_wires: int) -> None:
    problems: list[str] = []
    if witness.shape[0] != n_wires:
        problems.append(f"it holds {witness.shape[0]} wires, the circuit has {n_wires}")
    elif integer(witness[0]) != 1:
        problems.append(f"wire 0 is {integer(witness[0])}, it must be 1")
    top = np.flatnonzero(witness[:, 3] >= np.uint64(MODULUS >> 192))
    outside = next((int(i) for i in top if integer(witness[i]) >= MODULUS), None)
    if outside is not None:
        problems.append(f"wire {outside} is not an element of bn254's field")
    if problems:
        raise UsageError(
            "this witness is not one of this circuit",
            why="\n".join(problems),
            fix="give the .wtns and the .r1cs that were written together",
        )
