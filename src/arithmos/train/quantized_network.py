"""A network in quantization-aware training: the integer network itself, its constants made from trained numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arithmos.errors import RangeError, TrainingError
from arithmos.ir.graph import Graph, producers
from arithmos.lower.choice import Choice, WeightGrid, weight_owner
from arithmos.lower.derived import Derived
from arithmos.lower.lower import Lowered, lower
from arithmos.lower.recipe import Recipe
from arithmos.quant.grid import nearest_levels
from arithmos.train.derivation import derived_constant, factor_tensor
from arithmos.train.integer_forward import IntegerForward
from arithmos.train.learned_step import as_tensor, gradient_gain, learned_step
from arithmos.train.straight_through import Floor


class QuantizedNetwork(nn.Module):
    """float images -> the logits of the integer network, in real units; its weights, biases and steps are parameters.

    A forward pass makes every integer constant from the parameters by its derivation (rounded, with a straight-through
    gradient) and runs the integers: LSQ's gradient of every step is what the chain rule then gives. The structure of
    the network, its shifts and its ranges are those of the last lowering. `eval()` lowers anew: from then on the
    forward pass is the network that `lowered` holds, on every value. A class because torch asks for one.
    """

    def __init__(self, prepared: Graph, choice: Choice, recipe: Recipe) -> None:
        """prepared: a float graph as `lower` takes it. Weights begin in the cells of the chosen integers."""
        super().__init__()
        self.recipe = recipe
        self._graph, self._choice = _settled(prepared, choice), choice
        self._parameter_of = _parameters_of(prepared, choice)
        self.lowered = lower(self._graph, self._rounded(choice, self._graph.constants), recipe)
        used = {how.source for how in self.lowered.derived.values() if isinstance(how.source, str)}
        self._trained = tuple(n for n in self._graph.constants if n in used)
        self.weights = nn.ParameterList(torch.from_numpy(np.array(self._graph.constants[n])) for n in self._trained)
        first = {o: step for o, step in choice.steps.items() if o in _owners(self.lowered, choice)}
        self._learned = tuple(first)
        self.exponents = nn.ParameterList(torch.zeros(step.shape) for step in first.values())
        for i, step in enumerate(first.values()):
            self.register_buffer(f"first{i}", as_tensor(step))
        self._gains = _gains(self._graph, choice)
        self.register_load_state_dict_post_hook(lambda module, _: module.relower())  # type: ignore[no-untyped-call]
        self._plan()

    def forward(self, *images: Tensor) -> Tensor:
        """Logits, float32; one tensor an input of the graph."""
        if self.recipe.scales == "power_of_two" and self._powers() != self._lowered_powers:
            self.relower()  # a shift would no longer be that of its multiplier
        steps = self.steps()
        values = self.executor(self.admitted(images, steps), self.constants(steps))
        (output,) = self.lowered.net.outputs
        logits: Tensor = values[output].double() * factor_tensor(self.lowered.outputs[output], steps)
        return logits.float()

    def integers(self, *images: Tensor) -> dict[str, Tensor]:
        """Every value of the integer network, as floats that hold integers (int64 beyond 2**53)."""
        steps = self.steps()
        values: dict[str, Tensor] = self.executor(self.admitted(images, steps), self.constants(steps), every=True)
        return values

    def steps(self) -> dict[str, Tensor]:
        """Every step by its owner; the learned ones with their gradient."""
        fixed = {owner: as_tensor(step).to(self.device) for owner, step in self.lowered.steps.items()}
        learned = {
            owner: learned_step(exponent, first, self._gains[owner], self.recipe.scales)
            for owner, exponent, first in zip(self._learned, self.exponents, self._firsts(), strict=True)
        }
        return fixed | learned

    def constants(self, steps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The derived constants of the integer network."""
        trained: dict[str, Tensor] = dict(zip(self._trained, self.weights, strict=True))

        def source(name: str, how: Derived) -> Tensor:
            if isinstance(how.source, str) and how.source in trained:
                return trained[how.source]
            found: Tensor = self.get_buffer(self._sources[name])
            return found

        return {name: derived_constant(how, source(name, how), steps) for name, how in self.lowered.derived.items()}

    def admitted(self, images: tuple[Tensor, ...], steps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs on their grids, by the rule of the border: clip(floor(x / step + 1/2), range), in float64."""
        given = {}
        for name, x in zip(self.lowered.net.inputs, images, strict=True):
            grid = self._choice.grids.get(name)
            if grid is not None:
                real = (x.double() / steps[grid.owner]).clamp(grid.range.lo, grid.range.hi)
                x = Floor.apply(real + 0.5)  # type: ignore[no-untyped-call]
            given[name] = x
        return given

    def train(self, mode: bool = True) -> QuantizedNetwork:
        """As torch's; at the end of training (and at eval(), which calls this) the network is lowered anew."""
        if self.training and not mode:
            self.relower()
        return super().train(mode)

    def relower(self) -> None:
        """Lower from the present weights and steps: shifts, ranges and structure follow them.

        Raises TrainingError where they are no longer numbers, or too large for 64-bit integers.
        """
        broken = sum(not bool(torch.isfinite(p).all()) for p in self.parameters())
        try:
            if broken:
                raise RangeError(f"{broken} weights or steps are NaN or infinite", why="", fix="")
            self.lowered = lower(self.graph(), self.choice(), self.recipe)
        except RangeError as error:
            raise TrainingError(
                "the trained network has no integers any more",
                why=error.what,
                fix="give a lower learning rate",
            ) from error
        self._plan()

    def graph(self) -> Graph:
        """The prepared float graph with the trained weights and biases."""
        constants = dict(self._graph.constants)
        constants |= {n: p.detach().cpu().numpy().copy() for n, p in zip(self._trained, self.weights, strict=True)}
        return dataclasses.replace(self._graph, constants=constants)

    def choice(self) -> Choice:
        """The present steps, weights rounded to nearest, biases."""
        with torch.no_grad():
            steps = {owner: step.cpu().numpy() for owner, step in self.steps().items()}
        grids = {n: dataclasses.replace(g, step=float(steps[g.owner])) for n, g in self._choice.grids.items()}
        weights = {n: dataclasses.replace(g, steps=steps[weight_owner(n)]) for n, g in self._choice.weights.items()}
        return self._rounded(Choice(grids, weights), self.graph().constants)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def _rounded(self, choice: Choice, constants: Mapping[str, np.ndarray]) -> Choice:
        """The choice with the integers and the bias of these constants."""
        weights: dict[str, WeightGrid] = {}
        for name, grid in choice.weights.items():
            weight, bias = self._parameter_of[name]
            how = Derived(weight, {weight_owner(name): -1}, grid.levels, -grid.integers.ndim, odd=grid.odd)
            integers = how.integers(constants, {weight_owner(name): grid.steps})
            own = grid.bias if bias is None else constants[bias].astype(np.float64)
            weights[name] = dataclasses.replace(grid, integers=integers, bias=own)
        return Choice(choice.grids, weights)

    def _plan(self) -> None:
        """The executor of what was lowered, and the fixed numbers that its constants are made of."""
        self.executor = IntegerForward(self.lowered.net).to(self.device)
        self._sources: dict[str, str] = {}
        for i, (name, how) in enumerate(self.lowered.derived.items()):
            if not isinstance(how.source, str) or how.source not in self._trained:
                numbers = self._graph.constants[how.source] if isinstance(how.source, str) else how.source
                self._sources[name] = f"source{i}"
                self.register_buffer(self._sources[name], as_tensor(numbers).to(self.device), persistent=False)
        self._lowered_powers = self._powers() if self.recipe.scales == "power_of_two" else ()

    def _powers(self) -> tuple[float, ...]:
        """The exponents as they are rounded."""
        with torch.no_grad():
            flat = torch.cat([exponent.reshape(-1).double() for exponent in self.exponents])
        return tuple((flat + 0.5).floor().tolist())

    def _firsts(self) -> Iterator[Tensor]:
        return (self.get_buffer(f"first{i}") for i in range(len(self._learned)))


def _owners(lowered: Lowered, choice: Choice) -> set[str]:
    """The owners of the steps that may move: an input's or a derivation's, and none that a table was made with."""
    used = {owner for how in lowered.derived.values() for owner in how.powers}
    used |= {choice.grids[name].owner for name in lowered.net.inputs if name in choice.grids}
    used |= {step.owner for factor in lowered.outputs.values() for step in factor.powers}
    return used - lowered.fixed


def _parameters_of(prepared: Graph, choice: Choice) -> dict[str, tuple[str, str | None]]:
    """(weight, bias) constants of every layer, or a constant factor itself."""
    layers = producers(prepared)
    named: dict[str, tuple[str, str | None]] = {}
    for name in choice.weights:
        inputs = layers[name].inputs if name in layers else ("", name)
        named[name] = inputs[1], inputs[2] if len(inputs) > 2 else None
    return named


def _settled(prepared: Graph, choice: Choice) -> Graph:
    """Weights moved into the cells of the integers that were chosen for them, where another rounding chose them.

    w := step * clip(w / step, q - r, q + r), r half the way to the cell's edge: at the edge the first steps of a
    training would undo the choice. Biases as they were chosen (corrected).
    """
    constants: dict[str, Any] = dict(prepared.constants)
    for name, (weight, bias) in _parameters_of(prepared, choice).items():
        grid, array = choice.weights[name], prepared.constants[weight]
        step = grid.steps.reshape(-1, *[1] * (array.ndim - 1))
        real = array.astype(np.float64) / step
        nearest, reach = nearest_levels(real, grid.levels, odd=grid.odd), 0.5 if grid.odd else 0.25
        inside = np.clip(real, grid.integers - reach, grid.integers + reach)
        constants[weight] = np.where(nearest == grid.integers, array, inside * step).astype(array.dtype)
        if bias is not None and grid.bias is not None:
            constants[bias] = grid.bias.astype(prepared.constants[bias].dtype)
    return dataclasses.replace(prepared, constants=constants)


def _gains(prepared: Graph, choice: Choice) -> dict[str, float]:
    """LSQ's gain by owner: numbers on the step's grid (of one sample, or of a row of weights), and the last level."""
    gains = {}
    for name, grid in choice.grids.items():
        if grid.owner == name or grid.owner not in gains:
            n = abs(math.prod(prepared.values[name].shape))
            gains[grid.owner] = gradient_gain(n, grid.range.hi)
    for name, weights in choice.weights.items():
        gains[weight_owner(name)] = gradient_gain(weights.integers.size // weights.steps.size, weights.levels.hi)
    return gains
