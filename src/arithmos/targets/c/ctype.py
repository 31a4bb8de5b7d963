"""C types and typed C expressions: the proven range picks the type, so no expression can overflow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arithmos.ir.interval import Interval, signed, unsigned

INT32 = signed(32)
STORED = (unsigned(8), signed(8), unsigned(16), signed(16), INT32)
"""Ranges of the types that hold values in memory, narrowest first; int64_t holds the rest. uint32_t is left out: C
would compute in unsigned arithmetic wherever it meets an int."""

_BY_RANGE = dict(zip(STORED, ("uint8", "int8", "uint16", "int16", "int32"), strict=True))


@dataclass(frozen=True, slots=True)
class Term:
    """A C expression of integers with its proven range. `atom`: it needs no parentheses as an operand."""

    text: str
    range: Interval
    ctype: str
    atom: bool = False

    @property
    def operand(self) -> str:
        """The text as it can stand beside an operator."""
        return self.text if self.atom else f"({self.text})"


def stored_dtype(interval: Interval) -> np.dtype:
    """The narrowest type that holds the range in memory."""
    return np.dtype(next((_BY_RANGE[held] for held in STORED if interval in held), "int64"))


def ctype_of(dtype: np.dtype) -> str:
    """int8 -> int8_t."""
    return f"{dtype.name}_t"


def work_type(*intervals: Interval) -> str:
    """The type to compute in: int32_t if every operand and result fits, else int64_t."""
    return "int32_t" if all(interval in INT32 for interval in intervals) else "int64_t"


def literal(number: int) -> Term:
    """A C constant; the lowest int32 and int64 have no literal of their own type and are written as differences."""
    span = Interval(number, number)
    if span in INT32:
        text = f"({number + 1} - 1)" if number == INT32.lo else f"{number}"
        return Term(text, span, "int32_t", number >= 0 or number == INT32.lo)
    if number == -(1 << 63):
        return Term(f"(INT64_C({number + 1}) - 1)", span, "int64_t", True)
    return Term(f"INT64_C({number})" if number > 0 else f"-INT64_C({-number})", span, "int64_t", number > 0)


def widened(term: Term, work: str) -> Term:
    """The term in a type at least as wide as `work`; what C promotes to int by itself is left alone."""
    if work == "int32_t" or term.ctype == "int64_t":
        return term
    return Term(f"({work}){term.operand}", term.range, work, True)


def narrowed(term: Term, target: str) -> Term:
    """The term converted to the type it is stored in, which its range fits."""
    return term if term.ctype == target else Term(f"({target}){term.operand}", term.range, target, True)


def binary(operator: str, a: Term, b: Term, result: Interval, work: str = "") -> Term:
    """a operator b, computed where neither operand nor the result can overflow."""
    work = work or work_type(a.range, b.range, result)
    return Term(f"{widened(a, work).operand} {operator} {b.operand}", result, work)


def call(name: str, *arguments: Term, result: Interval, work: str) -> Term:
    """name(arguments)."""
    return Term(f"{name}({', '.join(argument.text for argument in arguments)})", result, work, True)


def clipped(term: Term, lo: int, hi: int) -> Term:
    """min(max(term, lo), hi) without the side that cannot happen, in 32 bits where the term fits."""
    result = term.range.clip(lo, hi)
    work = work_type(term.range)
    bits = work[3:5]
    if term.range.lo >= lo and term.range.hi <= hi:
        return term
    term = narrowed(term, work) if term.ctype == "int64_t" else term
    if term.range.lo >= lo:
        return call(f"min{bits}", term, literal(hi), result=result, work=work)
    if term.range.hi <= hi:
        return call(f"max{bits}", term, literal(lo), result=result, work=work)
    return call(f"clip{bits}", term, literal(lo), literal(hi), result=result, work=work)
