"""The differentiable Chebyshev series against numpy, and its gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.train import polynomial_stage  # noqa: E402
from arithmos.train.polynomial_stage import derivative, stage  # noqa: E402

SERIES = np.array([0.25, -0.5, 0.375, 0.125, -0.0625, 0.03125])


def numbers(*shape: int, reach: float = 0.95) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(len(shape)).uniform(-reach, reach, shape))


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5, 6)])
def test_values_are_those_of_numpy(n: int, shape: tuple[int, ...]) -> None:
    x, c = 4 * numbers(*shape), torch.from_numpy(SERIES[:n])
    expected = np.polynomial.chebyshev.chebval(x.numpy() / 4, SERIES[:n])
    assert np.abs(stage(x, c, 0.25).numpy() - expected).max() < 1e-14


@pytest.mark.parametrize("clamped", [False, True])
def test_gradients_are_differences(clamped: bool) -> None:
    x, c = 3 * numbers(2, 3, 4, 5, reach=1.3), torch.from_numpy(SERIES)
    assert bool((x.abs() > 3).any())
    given = x.requires_grad_(), c.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, c: stage(x, c, 1 / 3, clamped=clamped), given)


def test_held_arguments_have_the_value_at_the_end_and_no_gradient() -> None:
    x = torch.tensor([-5.0, -1.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    c = torch.from_numpy(SERIES)
    y = stage(x, c, 0.5, clamped=True)
    y.sum().backward()
    ends = np.polynomial.chebyshev.chebval([-1.0, 1.0], SERIES)
    assert np.abs(y.detach().numpy()[[0, 3]] - ends).max() < 1e-15
    assert x.grad is not None and x.grad[[0, 3]].tolist() == [0, 0] and bool((x.grad[[1, 2]] != 0).all())


def test_memory_order_and_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polynomial_stage, "CHUNK", 50)
    plain, c = numbers(2, 3, 4, 5), torch.from_numpy(SERIES)
    weight = numbers(2, 3, 4, 5, reach=2)
    orders = {
        "rows": plain.clone(),
        "channels last": plain.to(memory_format=torch.channels_last),
        "strided": plain.transpose(2, 3).contiguous().transpose(2, 3),
    }
    found = {}
    for name, x in orders.items():
        x, own = x.requires_grad_(), c.clone().requires_grad_()
        y = stage(x, own)
        (y * weight).sum().backward()
        assert x.grad is not None and own.grad is not None
        found[name] = y.detach().numpy(), x.grad.numpy(), own.grad.numpy()
    for name, results in found.items():
        for got, expected in zip(results, found["rows"], strict=True):
            assert np.abs(got - expected).max() < 1e-13, name


def test_the_derivative_is_numpys() -> None:
    for n in range(1, 7):
        expected = np.append(np.polynomial.chebyshev.chebder(SERIES[:n]), 0)[:n] if n > 1 else np.zeros(1)
        assert np.abs(derivative(torch.from_numpy(SERIES[:n])).numpy() - expected).max() < 1e-14
