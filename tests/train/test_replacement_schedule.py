from __future__ import annotations

import pytest

from arithmos.train.replacement_schedule import n_replaced


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (7, 3), (8, 4), (9, 4), (10, 4), (1000, 4)]
)
def test_four_layers_over_ten_steps(step: int, expected: int) -> None:
    assert n_replaced(step, 10, 4) == expected


def test_without_steps_all_are_replaced_at_once() -> None:
    assert [n_replaced(step, 0, 4) for step in (0, 1)] == [4, 4]


def test_more_layers_than_steps() -> None:
    assert [n_replaced(step, 2, 7) for step in (0, 1, 2)] == [1, 4, 7]
