"""Optimizers: the formula of a step, decay groups, state by name."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.train.config import Optimizer  # noqa: E402
from arithmos.train.optimizer import decay_groups, make_optimizer, restore_state, set_rate, state_tensors  # noqa: E402
from train.small import small  # noqa: E402


def test_everything_decays_unless_norms_and_biases_are_left_out() -> None:
    model = small()
    (every,) = decay_groups(model, Optimizer(weight_decay=0.1))
    assert len(every["params"]) == 5 and every["weight_decay"] == 0.1
    weights, others = decay_groups(model, Optimizer(weight_decay=0.1, decay_all=False))
    assert [p.ndim for p in weights["params"]] == [4, 2] and weights["weight_decay"] == 0.1
    assert [p.ndim for p in others["params"]] == [1, 1, 1] and others["weight_decay"] == 0


def test_frozen_parameters_are_not_trained() -> None:
    model = small()
    model.conv.weight.requires_grad_(False)
    assert sum(len(group["params"]) for group in decay_groups(model, Optimizer())) == 4


def test_a_step_of_sgd_is_nesterovs() -> None:
    p = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    chosen = Optimizer(learning_rate=9, momentum=0.5, nesterov=True, weight_decay=0.1)
    optimizer = make_optimizer([{"params": [p], "weight_decay": 0.1}], chosen)
    value, velocity = p.detach().clone(), torch.zeros(2)
    for rate in (0.1, 0.2):
        p.grad = torch.tensor([1.0, 3.0])
        set_rate(optimizer, rate)
        optimizer.step()
        gradient = torch.tensor([1.0, 3.0]) + 0.1 * value
        velocity = 0.5 * velocity + gradient if velocity.any() else gradient
        value = value - rate * (gradient + 0.5 * velocity)
        assert torch.allclose(p.detach(), value)


def test_a_group_may_scale_the_rate() -> None:
    p, q = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = make_optimizer([{"params": [p]}, {"params": [q], "lr_scale": 0.5}], Optimizer())
    set_rate(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_state_goes_there_and_back_in_the_memory_order_of_its_parameter(kind: str) -> None:
    chosen = Optimizer(optimizer=kind)  # type: ignore[arg-type]

    def stepped(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        torch.manual_seed(0)
        model(torch.randn(4, 1, 5, 5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    one, two = (small().to(memory_format=torch.channels_last) for _ in range(2))
    optimizer = make_optimizer(decay_groups(one, chosen), chosen)
    stepped(one, optimizer)
    tensors = {name: tensor.contiguous().clone() for name, tensor in state_tensors(optimizer, one).items()}
    assert "conv.weight/momentum_buffer" in tensors or "conv.weight/exp_avg" in tensors
    two.load_state_dict(one.state_dict())
    other = make_optimizer(decay_groups(two, chosen), chosen)
    restore_state(other, two, tensors)
    stepped(one, optimizer)
    stepped(two, other)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
