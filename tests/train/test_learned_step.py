from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.quant.grid import admissible_step  # noqa: E402
from arithmos.train.learned_step import as_tensor, gradient_gain, learned_step  # noqa: E402

SIZES = [0.013, 1.0, 3.7e-5, 2.0**-7, 812.3]


def test_a_step_that_has_not_moved_is_the_first_one() -> None:
    first = as_tensor(np.array([admissible_step(s, "dyadic") for s in SIZES]))
    assert torch.equal(learned_step(torch.zeros(len(SIZES)), first, 1.0, "dyadic"), first)


@pytest.mark.parametrize("moved", [-3.2, -0.5, -1e-3, 0.49999, 0.5, 2.75])
def test_dyadic_steps_are_the_admissible_ones(moved: float) -> None:
    first = as_tensor(np.array([admissible_step(s, "dyadic") for s in SIZES]))
    exponent = torch.full((len(SIZES),), moved)
    expected = [admissible_step(f * 2.0 ** float(e), "dyadic") for f, e in zip(first, exponent.double(), strict=True)]
    assert learned_step(exponent, first, 1.0, "dyadic").tolist() == expected


def test_power_of_two_steps_round_their_exponent_half_up() -> None:
    exponent = torch.tensor([-0.5, -0.51, 0.49, 0.5, 1.5])
    steps = learned_step(exponent, as_tensor(np.full(5, 2.0**-6)), 1.0, "power_of_two")
    assert [math.log2(s) for s in steps.tolist()] == [-6, -7, -6, -5, -4]


def test_gradient_descent_moves_log_step_as_lsq_does() -> None:
    exponent, first, gain, slope = torch.zeros(1, requires_grad=True), as_tensor(np.array([0.02])), 0.3, 5.0
    (slope * learned_step(exponent, first, gain, "dyadic")).sum().backward()
    step = admissible_step(0.02, "dyadic")
    assert float(exponent.grad) * math.log(2) == pytest.approx(gain * slope / step)


def test_the_gain_is_lsqs() -> None:
    assert gradient_gain(100, 7) == pytest.approx(1 / math.sqrt(700))
