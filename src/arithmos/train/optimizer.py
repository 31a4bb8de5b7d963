"""The optimizer of a configuration: its groups of parameters, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from arithmos.extras import require
from arithmos.train.config import Optimizer

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

Groups = Callable[["nn.Module", Optimizer], list[dict[str, Any]]]
"""Parameter groups of a module, as torch.optim takes them; "lr_scale" in one is a factor on the schedule's rate."""


def decay_groups(model: nn.Module, chosen: Optimizer) -> list[dict[str, Any]]:
    """Two groups: parameters of two or more dimensions decay; biases, scales and shifts only with `decay_all`."""
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if chosen.decay_all or p.ndim > 1]
    ids = {id(p) for p in decayed}
    kept = [p for p in trained if id(p) not in ids]
    groups = [{"params": decayed, "weight_decay": chosen.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimizer(groups: list[dict[str, Any]], chosen: Optimizer) -> optim.Optimizer:
    """torch's SGD or AdamW over the groups, in one kernel a step. The rate is set before every step."""
    torch = require("torch", "torch")
    rate = chosen.learning_rate
    made: optim.Optimizer
    if chosen.optimizer == "sgd":
        made = torch.optim.SGD(groups, rate, momentum=chosen.momentum, nesterov=chosen.nesterov, fused=True)
    else:
        made = torch.optim.AdamW(groups, rate, betas=(chosen.momentum, 0.999), fused=True)
    return made


def set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def state_tensors(optimizer: optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """{"parameter/key": tensor} of all that the optimizer remembers, by the names of the parameters."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if value is not None
    }


def restore_state(optimizer: optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `state_tensors`, in place."""
    torch, parameters = require("torch", "torch"), dict(model.named_parameters())
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition("/")
        parameter = parameters[owner]
        # In the memory order of its parameter, which the fused kernels rely on.
        like = parameter if tensor.shape == parameter.shape else tensor
        optimizer.state[parameter][key] = torch.empty_like(like, device=parameter.device, dtype=tensor.dtype).copy_(
            tensor
        )
