from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.ir.interval import Interval  # noqa: E402
from arithmos.lower.derived import Derived  # noqa: E402
from arithmos.lower.factor import constant, of_step  # noqa: E402
from arithmos.quant.grid import admissible_step  # noqa: E402
from arithmos.train.derivation import derived_constant, factor_tensor  # noqa: E402

RNG = np.random.default_rng(0)
STEPS = {
    "x": np.asarray(admissible_step(0.031, "dyadic")),
    "y": np.asarray(admissible_step(0.0047, "dyadic")),
    "layer.weight": np.array([admissible_step(s, "dyadic") for s in RNG.uniform(1e-4, 1e-2, 6)]),
}
TENSORS = {owner: torch.from_numpy(step) for owner, step in STEPS.items()}
WEIGHT, BIAS = RNG.normal(0, 0.1, (6, 3, 2, 2)).astype(np.float32), RNG.normal(0, 1, 6).astype(np.float32)
DERIVATIONS = {
    "binary weight": (Derived("w", {"layer.weight": -1}, Interval(-1, 1), axis=-4, odd=True), WEIGHT),
    "weight": (Derived("w", {"layer.weight": -1}, Interval(-7, 7), axis=-4), WEIGHT),
    "bias": (Derived("b", {"x": -1, "layer.weight": -1}, gain=0.7), BIAS),
    "multiplier": (Derived(np.asarray(2.0**24), {"x": 1, "layer.weight": 1, "y": -1}, axis=-3), np.asarray(2.0**24)),
    "square": (Derived(np.asarray(2.0**30), {"x": 2, "y": -1}), np.asarray(2.0**30)),
    "no step": (Derived(np.array([1.5, -2.5]), {}), np.array([1.5, -2.5])),
}


@pytest.mark.parametrize("name", DERIVATIONS)
def test_the_integers_are_those_of_the_lowering(name: str) -> None:
    how, source = DERIVATIONS[name]
    got = derived_constant(how, torch.from_numpy(source), TENSORS)
    expected = how.integers({"w": WEIGHT, "b": BIAS}, STEPS)
    assert got.dtype == torch.float64 and np.array_equal(got.numpy(), expected)


def test_ties_go_up() -> None:
    how = Derived("w", {"x": -1}, Interval(-3, 3))
    source = torch.tensor([-2.5, -1.5, -0.5, 0.5, 2.5, 3.5, -9.0])
    assert derived_constant(how, source, {"x": torch.tensor(1.0)}).tolist() == [-2, -1, 0, 1, 3, 3, -3]


def test_the_gradient_is_that_of_the_real_number_inside_the_levels() -> None:
    how = Derived("w", {"s": -1}, Interval(-3, 3))
    source = torch.tensor([0.3, -1.4, 9.0], requires_grad=True)
    step = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    derived_constant(how, source, {"s": step}).sum().backward()
    assert source.grad.tolist() == [2, 2, 0]
    assert float(step.grad) == pytest.approx(-(0.3 - 1.4) / 0.25)


def test_binary_weights_pass_the_gradient_everywhere_and_their_step_gets_that_of_the_sign() -> None:
    how = Derived("w", {"s": -1}, Interval(-1, 1), odd=True)
    source = torch.tensor([0.0, -0.3, 9.0], requires_grad=True)
    step = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    binary = derived_constant(how, source, {"s": step})
    assert binary.tolist() == [1, -1, 1]
    (binary * step).sum().backward()
    assert source.grad.tolist() == [1, 1, 1] and step.grad.tolist() == [1]


def test_a_factor_is_its_array() -> None:
    factor = constant(np.array([1.0, 0.25])) * of_step("x", STEPS["x"]) / of_step("y", STEPS["y"])
    assert np.array_equal(factor_tensor(factor, TENSORS).numpy(), factor.array)
    assert np.array_equal(factor_tensor(constant(3.0), {}).numpy(), 3.0)
