"""Rules that choose the best run: "max accuracy where bits<=3 and sparsity>0.5"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arithmos.errors import UsageError
from arithmos.lower.toml_fields import unknown_key
from arithmos.sweep.columns import COLUMNS, SHORT, Column

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
FRACTIONS = ("Accuracy", "Sparsity")
"""How the names of columns end that hold shares, which are shown in per cent elsewhere."""

_TOKEN = re.compile(r"""\s*(?:(<=|>=|==|!=|<|>|=)|"([^"]*)"|'([^']*)'|([^\s<>=!"']+))""")
_FIX = 'for example --select "max accuracy where bits<=3 and method==gpfq"'
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """column OPERATOR value, of the column's kind."""

    column: Column
    comparison: str
    value: Any


@dataclass(frozen=True, slots=True)
class Rule:
    """The row with the largest (or least) number in a column, of those that meet every condition."""

    text: str
    largest: bool
    column: Column
    conditions: tuple[Condition, ...]


def rule_of(text: str) -> Rule:
    """The rule max|min COLUMN [where COLUMN OPERATOR VALUE [and …]]; longer column names stand in quotes.

    Raises UsageError with what is wrong, for an unknown column with the closest one.
    """
    words = _tokens(text)
    if len(words) < 2 or words[0] not in ("max", "min"):
        raise _refused(text, "it starts with max or min and a column")
    column, rest = _column(text, words[1]), words[2:]
    if column.kind not in (int, float):
        raise _refused(text, f"{column.short} has no largest and no least value: it holds no numbers")
    if rest and rest[0] != "where":
        raise _refused(text, f"after the column comes where, not '{rest[0]}'")
    conditions = []
    while rest:
        part, rest = rest[1:4], rest[4:]
        if len(part) < 3 or part[1] not in OPERATORS:
            raise _refused(text, f"a condition is a column, one of {', '.join(OPERATORS)}, and a value")
        conditions.append(_condition(text, *part))
        if rest and rest[0] != "and":
            raise _refused(text, f"conditions are joined by and, not '{rest[0]}'")
    return Rule(text, words[0] == "max", column, tuple(conditions))


def best(rows: Sequence[Mapping[str, Any]], rule: Rule) -> Mapping[str, Any]:
    """The row that the rule chooses, of equal ones the first. A row without a number there is left out.

    Raises UsageError where no row is left.
    """
    fitting = [row for row in rows if all(_meets(row, condition) for condition in rule.conditions)]
    known = [row for row in fitting if row[rule.column.name] is not None]
    if not known:
        why = f"none of the {len(rows):,} finished runs meets its conditions" if not fitting else ""
        raise UsageError(
            "no run fits the rule",
            where=f"--select {rule.text!r}",
            why=why or f"{rule.column.name} was not measured in the {len(fitting):,} runs that meet its conditions",
            fix="loosen the conditions, or enlarge the grid",
        )
    return (max if rule.largest else min)(known, key=lambda row: row[rule.column.name])


def _meets(row: Mapping[str, Any], condition: Condition) -> bool:
    value = row[condition.column.name]
    return value is not None and OPERATORS[condition.comparison](value, condition.value)


def _condition(text: str, name: str, comparison: str, value: str) -> Condition:
    column = _column(text, name)
    if column.kind in (str, bool) and comparison not in ("==", "!="):
        raise _refused(text, f"{column.short} holds no numbers: compare it by == or !=")
    try:
        read = _BOOLEANS[value] if column.kind is bool else str(value) if column.kind is str else float(value)
    except (KeyError, ValueError):
        kind = "true or false" if column.kind is bool else "a number"
        raise _refused(text, f"{column.short} is compared with {kind}, not with '{value}'") from None
    if column.name.endswith(FRACTIONS) and not 0 <= float(read) <= 1:
        raise _refused(text, f"{column.short} is a fraction from 0 to 1, not {value}")
    return Condition(column, comparison, read)


def _column(text: str, name: str) -> Column:
    full = {column.name.lower(): column for column in COLUMNS}
    found = SHORT.get(name) or full.get(name.lower())
    if found is None:
        raise _refused(text, unknown_key(name, list(SHORT)))
    return found


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refused(text, f"'{text[position:].strip()}' is no column, operator or value")
        sign, *words = match.groups()
        found.append({"=": "=="}.get(sign, sign) if sign else next(word for word in words if word is not None))
        position = match.end()
    return found


def _refused(text: str, why: str) -> UsageError:
    return UsageError("this rule cannot be followed", where=f"--select {text!r}", why=why, fix=_FIX)
