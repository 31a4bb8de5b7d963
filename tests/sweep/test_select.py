"""Rules: parsed without evaluating anything, refused in a sentence, and the best row by them."""

from __future__ import annotations

from typing import Any

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.columns import NAMES
from arithmos.sweep.select import best, rule_of


def row(**known: Any) -> dict[str, Any]:
    return {**dict.fromkeys(NAMES), **known}


ROWS = [
    row(**{"Bits": bits, "Quantized Top1 Accuracy": accuracy, "Method": method, "Fusion": fusion, "Digest": digest})
    for bits, accuracy, method, fusion, digest in [
        (2, 0.81, "gpfq", True, "a"),
        (3, 0.9, "gpfq", False, "b"),
        (3, 0.9, "gpfq+descent", True, "c"),
        (4, 0.92, "nearest", True, "d"),
        (4, None, "gpfq", True, "e"),
    ]
]


@pytest.mark.parametrize(
    ("rule", "digest"),
    [
        ("max accuracy", "d"),
        ("max accuracy where bits<=3", "b"),  # of equal ones the first
        ("max accuracy where bits <= 3 and fusion==true", "c"),
        ("min accuracy", "a"),
        ("min bits where accuracy>0.85", "b"),
        ("max accuracy where method=='gpfq+descent'", "c"),
        ("max accuracy where method=gpfq", "b"),
        ("max accuracy where method!=nearest", "b"),
        ('max "Quantized Top1 Accuracy" where "Bits" < 3', "a"),
        ("max accuracy where bits>2 and bits<4 and fusion=no", "b"),
    ],
)
def test_the_best_row(rule: str, digest: str) -> None:
    assert best(ROWS, rule_of(rule))["Digest"] == digest


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("", "it starts with max or min and a column"),
        ("accuracy", "it starts with max or min and a column"),
        ("max", "it starts with max or min and a column"),
        ("max acuracy", "there is no 'acuracy', did you mean 'accuracy'?"),
        ("max method", "method has no largest and no least value: it holds no numbers"),
        ("max accuracy for bits<3", "after the column comes where, not 'for'"),
        ("min bits where accuracy>=88", "accuracy is a fraction from 0 to 1, not 88"),
        ("max accuracy where", "a condition is a column, one of <=, >=, ==, !=, <, >, and a value"),
        ("max accuracy where bits", "a condition is a column, one of <=, >=, ==, !=, <, >, and a value"),
        ("max accuracy where bits 3 <", "a condition is a column, one of <=, >=, ==, !=, <, >, and a value"),
        ("max accuracy where bits<3 and", "a condition is a column, one of <=, >=, ==, !=, <, >, and a value"),
        ("max accuracy where bits<3 or bits>5", "conditions are joined by and, not 'or'"),
        ("max accuracy where bit<3", "there is no 'bit', did you mean 'bits'?"),
        ("max accuracy where bits<three", "bits is compared with a number, not with 'three'"),
        ("max accuracy where fusion==1", "fusion is compared with true or false, not with '1'"),
        ("max accuracy where method<gpfq", "method holds no numbers: compare it by == or !="),
        ("max accuracy where bits<3 'and", "''and' is no column, operator or value"),
        ("max accuracy where eval('1')<3", "a condition is a column, one of <=, >=, ==, !=, <, >, and a value"),
    ],
)
def test_rules_that_cannot_be_followed(rule: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        rule_of(rule)
    assert str(caught.value) == (
        f"this rule cannot be followed\n  at   --select {rule!r}\n  why  {why}\n"
        '  fix  for example --select "max accuracy where bits<=3 and method==gpfq"'
    )


def test_no_row_left() -> None:
    with pytest.raises(UsageError, match="no run fits the rule") as caught:
        best(ROWS, rule_of("max accuracy where bits>8"))
    assert caught.value.why == "none of the 5 finished runs meets its conditions"
    with pytest.raises(UsageError) as caught:
        best(ROWS, rule_of("max sparsity where bits==3"))
    assert caught.value.why == "Quantized Sparsity was not measured in the 2 runs that meet its conditions"
