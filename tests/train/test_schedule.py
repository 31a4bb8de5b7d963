"""The learning rate at its corners."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.train.config import Config, Optimizer, Schedule
from arithmos.train.schedule import learning_rate, rate_of_step

BASE = Config(epochs=10, optimizer=Optimizer(learning_rate=0.4))


def with_schedule(**chosen: object) -> Config:
    return replace(BASE, schedule=Schedule(**chosen))  # type: ignore[arg-type]


def test_cosine_goes_from_the_peak_to_zero() -> None:
    config = with_schedule(schedule="cosine")
    assert learning_rate(config, 0) == 0.4
    assert learning_rate(config, 5) == pytest.approx(0.2)
    assert learning_rate(config, 10) == pytest.approx(0)


def test_step_falls_at_the_milestones() -> None:
    config = with_schedule(schedule="step", milestones=(0.5, 0.75), decay=0.1)
    assert [learning_rate(config, t) for t in (0, 4.99, 5, 7.49, 7.5, 9.9)] == pytest.approx(
        [0.4, 0.4, 0.04, 0.04, 0.004, 0.004]
    )


def test_constant() -> None:
    assert {learning_rate(with_schedule(schedule="constant"), t) for t in range(10)} == {0.4}


def test_the_warm_up_is_linear_and_its_first_step_moves() -> None:
    config = with_schedule(schedule="constant", warmup_epochs=2)
    rates = [rate_of_step(config, epoch, step, 5) for epoch in range(3) for step in range(5)]
    assert rates == pytest.approx([0.04 * k for k in range(1, 11)] + [0.4] * 5)


@given(st.sampled_from(["cosine", "step", "constant"]), st.floats(0, 9), st.integers(0, 9), st.integers(0, 6))
def test_no_rate_is_negative_or_above_the_peak(kind: str, warmup: float, epoch: int, step: int) -> None:
    rate = rate_of_step(with_schedule(schedule=kind, warmup_epochs=warmup), epoch, step, 7)
    assert 0 < rate <= 0.4 * (1 + 1e-12) and math.isfinite(rate)
