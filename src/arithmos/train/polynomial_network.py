"""A network in training with its polynomials: the polynomial graph on torch, its numbers parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from arithmos.approx.composite import Composite
from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.lower.rebound import rebounded
from arithmos.lower.replacement import Replacement
from arithmos.train.float_ops import ROWS
from arithmos.train.polynomial_stage import stage
from arithmos.train.real_ops import REAL
from arithmos.train.replacement_schedule import n_replaced

TABLE = REAL | ROWS
GRID = 129
"""Points of [-B, B] on which polynomials are compared with what they stand for."""

MOST_RAISED = 2.0
"""A bound that would have to be raised further is that of a value that has run away."""

LAYERS = ("conv", "linear", "matmul")
"""The ops whose constants are trained."""


class PolynomialNetwork(nn.Module):
    """float images -> the logits of `replace(graph, replacements)`; weights, coefficients and constants are parameters.

    In eval mode it is that network. In training mode the activations that the schedule has not reached are the exact
    ones, and polynomials hold their argument to [-B, B], beyond which their values would be noise. `penalty` is then
    sum relu(headroom |u| / B - 1)^2 over all that activations read, divided by the number of images; `drift` is the sum
    over polynomials of the mean of ((r(u) - f(u)) / B)^2 on [-B, B], which holds them where images rarely lead; `peaks`
    is max |u| of each activation in the last batch. Odd stages stay odd. A class because torch asks for one.
    """

    def __init__(
        self, prepared: Graph, replacements: Mapping[str, Replacement], *, n_steps: int = 0, headroom: float = 1.0
    ) -> None:
        """prepared: as `prepared_for` makes it; n_steps: over which layers are replaced, all at once with 0."""
        super().__init__()
        self._graph, self._first = prepared, dict(replacements)
        self.n_steps, self.headroom = n_steps, headroom
        self.layers = tuple(node.output for node in prepared.nodes if node.output in replacements)
        self._trained = _trained(prepared)
        self.weights = nn.ParameterList(_tensor(prepared.constants[name]) for name in self._trained)
        fixed = [name for name in prepared.constants if name not in self._trained]
        self._fixed = {name: f"fixed{i}" for i, name in enumerate(fixed)}
        for name, buffer in self._fixed.items():
            self.register_buffer(buffer, _tensor(prepared.constants[name]), persistent=False)
        self._places = [(n, i) for n in self.layers for i in range(len(replacements[n].composite.stages))]
        self.coefficients = nn.ParameterList(_tensor(_free(self._stage(place)), np.float32) for place in self._places)
        self._offset_of = [name for name in self.layers if replacements[name].form == "relu"]
        self.offsets = nn.ParameterList(
            _tensor(np.array([replacements[name].composite.offset]), np.float32) for name in self._offset_of
        )
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.penalty = self.drift = torch.zeros(())
        self.peaks: dict[str, float] = {}
        self._spent = spent_after(self._graph, keep=self._graph.outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, in float32 under mixed precision too."""
        graph = self._graph
        (name,) = graph.inputs
        live: dict[str, Tensor] = {name: images, **dict(zip(self._trained, self.weights, strict=True))}
        live |= {name: self.get_buffer(buffer) for name, buffer in self._fixed.items()}
        polynomials = self._polynomials()
        # Parameters that wait for their turn have the gradient 0, not none: fused SGD fails where some have none.
        self.penalty = 0.0 * sum((p.sum() for p in (*self.coefficients, *self.offsets)), images.new_zeros(()))
        self.drift = images.new_zeros(())
        for node in graph.nodes:
            if node.output in self._first:
                live[node.output] = self._activation(node, live[node.inputs[0]], node.output in polynomials)
            else:
                live[node.output] = TABLE[node.op](*(live[read] for read in node.inputs), **node.attrs)
            for spent in self._spent[node.output]:
                live.pop(spent, None)
        return _full(live[graph.outputs[0]])

    def replacements(self) -> dict[str, Replacement]:
        """The polynomials as they are now; nothing is certified of them."""
        found = {}
        for name in self.layers:
            stages = [
                _dense(c.detach().cpu().double().numpy(), self._stage(place))
                for place, c in zip(self._places, self.coefficients, strict=True)
                if place[0] == name
            ]
            offset = float(self.offsets[self._offset_of.index(name)].detach()) if name in self._offset_of else 0.0
            found[name] = dataclasses.replace(self._first[name], composite=Composite(tuple(stages), offset))
        return found

    def graph(self) -> Graph:
        """The exact graph with the trained weights: what `replace` takes beside the replacements."""
        constants = dict(self._graph.constants)
        constants |= {n: p.detach().cpu().numpy().copy() for n, p in zip(self._trained, self.weights, strict=True)}
        return dataclasses.replace(self._graph, constants=constants)

    def widened(self, batches: Iterator[Tensor]) -> tuple[dict[str, Replacement], int]:
        """(the polynomials with B raised to headroom * max |u| where that is more, the number of images left out).

        An image is left out if a value of it has run away: not finite, or asking for more than MOST_RAISED times B. In
        eval mode alone.
        """
        seen = dict.fromkeys(self.layers, 0.0)
        with torch.inference_mode():
            n_away = sum(self._reached(images, seen) for images in batches)
        wide = {}
        for name, found in self.replacements().items():
            needed = self.headroom * seen[name]
            wide[name] = rebounded(found, needed) if found.bound is not None and needed > found.bound else found
        return wide, n_away

    def _reached(self, images: Tensor, seen: dict[str, float]) -> int:
        """Raise `seen` to what these images reach; the number of those that run away, found by halving."""
        self(images)
        if all(self.headroom * self.peaks[name] <= self._most(name) for name in self.layers):
            seen.update({name: max(peak, self.peaks[name]) for name, peak in seen.items()})
            return 0
        if len(images) == 1:
            return 1
        middle = len(images) // 2
        return self._reached(images[:middle], seen) + self._reached(images[middle:], seen)

    def _most(self, name: str) -> float:
        """What headroom times a value may come to."""
        bound = self._first[name].bound
        return float(np.finfo(np.float32).max) if bound is None else MOST_RAISED * bound

    def _polynomials(self) -> frozenset[str]:
        """The layers that are polynomials now."""
        if not self.training:
            return frozenset(self.layers)
        return frozenset(self.layers[: n_replaced(int(self.get_buffer("step")), self.n_steps, len(self.layers))])

    def _activation(self, node: Node, u: Tensor, replaced: bool) -> Tensor:
        name, first = node.output, self._first[node.output]
        low, high = torch.aminmax(u.detach())
        self.peaks[name] = peak = float(torch.maximum(-low, high))
        bound = first.bound
        if self.training and bound is not None and peak * self.headroom > bound:
            outside = _full(u[u.abs() * self.headroom > bound]).abs() * (self.headroom / bound) - 1
            self.penalty = self.penalty + outside.square().sum() / len(u)
        if not replaced:
            exact: Tensor = TABLE[node.op](u, **node.attrs)
            return exact
        with torch.autocast(u.device.type, enabled=False):
            if not self.training or bound is None:
                return self._polynomial(name, first, _full(u), clamped=False)
            grid = torch.linspace(-bound, bound, GRID, dtype=_full(u).dtype, device=u.device)
            error = self._polynomial(name, first, grid, clamped=False) - TABLE[node.op](grid, **node.attrs)
            self.drift = self.drift + (error / bound).square().mean()
            return self._polynomial(name, first, _full(u), clamped=peak > bound)

    def _polynomial(self, name: str, first: Replacement, u: Tensor, *, clamped: bool) -> Tensor:
        radius = 1.0 if first.bound is None else first.bound
        places = [i for i, place in enumerate(self._places) if place[0] == name]
        series = [_series(self.coefficients[i], self._stage(self._places[i])) for i in places]
        if first.form == "value":
            series[-1] = series[-1] * first.gain
        elif len(series) == 1:  # one pass over u: u (1 + p(u / B)) / 2 + c B = B q(u / B)
            series = [_times_argument(series[0], self.offsets[self._offset_of.index(name)]) * radius]
        y = stage(u, series[0], 1 / radius, clamped=clamped)
        for coefficients in series[1:]:
            y = stage(y, coefficients)
        if first.form == "value" or len(places) == 1:
            return y
        held = u.clamp(-radius, radius) if clamped else u
        rectified: Tensor = held * (1 + y) / 2 + self.offsets[self._offset_of.index(name)] * radius
        return rectified

    def _stage(self, place: tuple[str, int]) -> np.ndarray:
        return self._first[place[0]].composite.stages[place[1]]


def _trained(graph: Graph) -> tuple[str, ...]:
    """The float constants that layers read, in graph order."""
    read = [name for node in graph.nodes if node.op in LAYERS for name in node.inputs[1:]]
    return tuple(n for n in dict.fromkeys(read) if n in graph.constants and graph.constants[n].dtype.kind == "f")


def _tensor(array: np.ndarray, dtype: type | None = None) -> Tensor:
    whole = array.dtype.kind in "iub" and dtype is None
    return torch.from_numpy(np.array(array, dtype=np.int64 if whole else np.float32))


def _full(x: Tensor) -> Tensor:
    """In float32 at least: mixed precision gives less."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _odd(first: np.ndarray) -> bool:
    return len(first) > 1 and not np.any(first[::2])


def _free(first: np.ndarray) -> np.ndarray:
    """The coefficients that are trained: of an odd stage the odd ones."""
    return first[1::2] if _odd(first) else first


def _dense(free: np.ndarray, first: np.ndarray) -> np.ndarray:
    made = np.zeros(len(first))
    made[1 :: 2 if _odd(first) else 1] = 0
    if _odd(first):
        made[1::2] = free
        return made
    return free.copy()


def _series(free: Tensor, first: np.ndarray) -> Tensor:
    """All coefficients as a tensor, with the gradient of the free ones."""
    if not _odd(first):
        return free
    full = free.new_zeros(len(first))
    full[1::2] = free
    return full


def _times_argument(series: Tensor, offset: Tensor) -> Tensor:
    """t / 2 + t p(t) / 2 + c as a series, since 2 t T_k = T_{k+1} + T_|k-1|."""
    n = len(series)
    up, down = series.new_zeros(n + 1), series.new_zeros(n + 1)
    up[1:] = series
    up[1] = up[1] + series[0]  # t T_0 = T_1, twice one half
    down[: n - 1] = series[1:]
    found = (up + down) / 4
    found[0] = found[0] + offset[0]
    found[1] = found[1] + 0.5
    return found
