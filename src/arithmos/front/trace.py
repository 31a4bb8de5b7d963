"""Tracing: torch.nn.Module -> Graph[float]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.front.program import Example, export, flat, functional
from arithmos.front.translate import translate
from arithmos.ir.graph import Graph

MOST_LISTED = 12
"""Long lists in messages end here."""


def trace(model: Any, example: Any = None, *, names: Sequence[str] | None = None) -> Graph:
    """The float graph of a module: the same function, in numpy, of any batch size.

    model: a torch.nn.Module in eval mode, or a torch.export.ExportedProgram (which needs no example). example: one
    tensor or array, a tuple of them, or a dictionary of keyword arguments, of the shapes and types the module takes;
    its values do not matter. The first axis of the first tensor is the batch, which stays free; an input with another
    extent there has no batch. names: the names of the inputs, instead of those of forward's arguments. Values are named
    by module path and operation ("layer1.0.conv1", "layer1.0.add"), weights as in the state dict. Minus infinity in
    masks becomes -1e30. Results that forward returns in a dictionary have their keys as names; None is dropped.
    Raises UsageError for a model in training mode, an example that does not fit or weights that are not finite;
    UnsupportedNetwork with the user's lines for what cannot be traced (every operation at once), for decisions by
    values and for weights that forward hides.
    """
    if isinstance(model, ExportedProgram):
        program = model
    else:
        _check_module(model)
        program = export(model, _arguments(model, example))
    inputs = program.graph_signature.user_inputs
    if names is not None and len(names) != len(inputs):
        raise UsageError(
            f"{len(names)} names were given for {len(inputs)} inputs",
            why=f"the module takes {', '.join(map(str, inputs))}",
            fix="give one name for each input, or none",
        )
    _check_state(program)
    return translate(functional(program), names)


def _check_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        is_class = isinstance(model, type)
        raise UsageError(
            "the model is not a torch.nn.Module",
            why="it is a class" if is_class else f"it is of type {type(model).__name__}",
            fix="give an instance: trace(Net(), example)" if is_class else "wrap it in a torch.nn.Module",
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError(
            "the model is a TorchScript module",
            why="torch.export traces Python modules",
            fix="build the Python module and load its weights with load_state_dict",
        )
    training = [(name, m) for name, m in model.named_modules() if m.training]
    if training:
        leaves = [f"{name} ({type(m).__name__})" for name, m in training if name and not any(m.children())]
        listed = leaves[:MOST_LISTED] + ([f"… {len(leaves) - MOST_LISTED} more"] if len(leaves) > MOST_LISTED else [])
        raise UsageError(
            f"the model is in training mode ({len(training)} modules)",
            why="dropout and batch norm compute something else then: " + ", ".join(listed or [type(model).__name__]),
            fix="call model.eval() before tracing",
        )


def _arguments(model: nn.Module, example: Any) -> Example:
    """The example as arguments of the module: arrays become tensors, float64 arrays of the type of the weights."""
    if example is None:
        raise UsageError(
            "tracing needs an example",
            why="it gives the shapes of the inputs",
            fix="trace(model, torch.zeros(1, 3, 32, 32))",
        )
    floats = [p.dtype for p in model.parameters() if p.dtype.is_floating_point]
    problems: list[str] = []

    def tensor(x: Any, place: str) -> Any:
        if isinstance(x, torch.Tensor):
            if x.dim() and 0 in x.shape:
                problems.append(f"{place} has shape {tuple(x.shape)}: no element")
            return x.detach().clone()
        if isinstance(x, np.ndarray | np.generic):
            array = np.asarray(x)
            if array.dtype.kind not in "fiub":
                problems.append(f"{place} holds {array.dtype}, not numbers")
                return x
            made = torch.from_numpy(np.array(array))
            return tensor(made.to(floats[0]) if array.dtype == np.float64 and floats else made, place)
        if x is None or isinstance(x, int | float | bool | str):
            return x
        if isinstance(x, list | tuple):
            return type(x)(tensor(item, f"{place}[{i}]") for i, item in enumerate(x))
        if isinstance(x, Mapping):
            return {key: tensor(item, f"{place}[{key!r}]") for key, item in x.items()}
        problems.append(f"{place} is of type {type(x).__name__}")
        return x

    given = example if isinstance(example, tuple | Mapping) else (example,)
    arguments: Example = tensor(dict(given) if isinstance(given, Mapping) else tuple(given), "example")
    leaves = list(flat(arguments))
    if not problems and not any(isinstance(x, torch.Tensor) for x in leaves):
        problems.append(f"it holds no tensor, but {', '.join(type(x).__name__ for x in leaves) or 'nothing'}")
    if problems:
        raise UsageError(
            "the example cannot be used", why="\n       ".join(problems), fix="give tensors or arrays of numbers"
        )
    return arguments


def _check_state(program: ExportedProgram) -> None:
    """Weights must be there and finite; infinities in buffers are masks."""
    problems, lost = [], False
    parameters = set(program.graph_signature.parameters)
    for name, tensor in {**program.state_dict, **program.constants}.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if isinstance(tensor, FakeTensor):
            problems.append(f"{name} has no values: forward takes .data of a tensor, use .detach()")
            lost = True
        elif tensor.is_meta:
            problems.append(f"{name} has no values: it is on the meta device")
        elif tensor.dtype.is_floating_point and not torch.isfinite(tensor).all():
            nan, infinite = int(torch.isnan(tensor).sum()), int(torch.isinf(tensor).sum())
            if nan or (infinite and name in parameters):
                problems.append(f"{name} holds {nan} NaN and {infinite} infinite values")
    if problems:
        more = [f"… {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
        raise (UnsupportedNetwork if lost else UsageError)(
            "the weights of the network are not usable",
            why="\n       ".join(problems[:MOST_LISTED] + more),
            fix="load finite weights before tracing",
        )
