"""Attribution: which layer's polynomial moves the output, and whether every certificate holds on every value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arithmos.errors import UsageError, VerificationError
from arithmos.extras import require
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph, Node
from arithmos.ir.ops import OP_SETS
from arithmos.lower.replacement import Replacement, replace

ROUNDING = 2.0**-40
"""What float64 adds to an error, in units of B: stages of degree 31 lose 6 bits of 52 each, and three are usual."""

RUNNERS_UP = 9
"""Classes after the first one that are compared with it: all of CIFAR-10."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One polynomial. bound: B; allowed: largest certified |e|, None without certificate; largest: max |e| seen.

    first_order: mean over images of |sum J e|, its part of the margin's error; absolute: mean of sum |J| |e|; a_priori:
    mean of sum |J| allowed. J: the gradient of the top class minus the runner-up, in the exact network.
    """

    name: str
    bound: float | None
    allowed: float | None
    largest: float
    first_order: float
    absolute: float
    a_priori: float | None


@dataclass(frozen=True, slots=True)
class Attribution:
    """By image: margin (top class minus runner-up, exact), its error to first order, sum |J| |e|, its actual error.

    certified: sum |J_j| |e| stays below top minus j for every class j that was compared. near: units whose |u| is at
    most what the errors before them moved it by, of all units: for these a ReLU may change its slope, and the first
    order is no proof. classes: how many runners-up were compared.
    """

    layers: tuple[Layer, ...]
    margin: np.ndarray = field(repr=False)
    first_order: np.ndarray = field(repr=False)
    absolute: np.ndarray = field(repr=False)
    actual: np.ndarray = field(repr=False)
    certified: np.ndarray = field(repr=False)
    near: tuple[int, int]
    classes: int

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON; means over images of magnitudes, layers in graph order; a_priori is None without certificates."""
        known = [layer.a_priori for layer in self.layers]
        return {
            "images": len(self.margin),
            "margin": {"mean": _mean(self.margin), "min": float(self.margin.min())},
            "a_priori": None if None in known else math.fsum(a for a in known if a is not None),
            "absolute": _mean(self.absolute),
            "first_order": _mean(np.abs(self.first_order)),
            "actual": _mean(np.abs(self.actual)),
            "certified": int(self.certified.sum()),
            "runners_up": self.classes,
            "near": {"units": self.near[0], "of": self.near[1]},
            "layers": [
                {"name": layer.name, "bound": layer.bound, "allowed": layer.allowed, "largest": layer.largest}
                | {"first_order": layer.first_order, "absolute": layer.absolute, "a_priori": layer.a_priori}
                for layer in self.layers
            ],
        }

    @property
    def text(self) -> str:
        """A table of the layers, then the whole: what hurts, and what the first order is worth."""
        facts, width = self.facts, max([5, *(len(layer.name) for layer in self.layers)])
        lines = [f"{'layer':<{width}}        B  allowed |e|  largest |e|  |sum J e|  sum |J||e|"]
        for layer in self.layers:
            bound = "–" if layer.bound is None else f"{layer.bound:.4g}"
            allowed = "–" if layer.allowed is None else f"{layer.allowed:.3g}"
            lines.append(
                f"{layer.name:<{width}}  {bound:>7}  {allowed:>11}  {layer.largest:>11.3g}  "
                f"{layer.first_order:>9.3g}  {layer.absolute:>10.3g}"
            )
        lines += [
            f"margin of the top class, {facts['images']} images: {facts['margin']['mean']:.3g} on average, "
            f"{facts['margin']['min']:.3g} at least",
            f"its error, averages: {facts['actual']:.3g} actual, {facts['first_order']:.3g} to first order, "
            f"{facts['absolute']:.3g} as sum |J||e|"
            + ("" if facts["a_priori"] is None else f", {facts['a_priori']:.3g} from certificates alone"),
            f"top-1 certified to first order against {self.classes} classes: {facts['certified']} of {facts['images']} "
            f"images; {self.near[0]:,} of {self.near[1]:,} units lie so near 0 that their sign may change",
        ]
        return "\n".join(lines)


def attribution(
    graph: Graph,
    replacements: Mapping[str, Replacement],
    batches: Iterable[Any],
    *,
    runners_up: int = RUNNERS_UP,
    device: str = "cpu",
    report: Callable[[str], None] = lambda line: None,
) -> Attribution:
    """logits(approximate) - logits(exact) = sum_k J_k e_k to first order.

    e_k = r_k(u) - f(u) at what layer k reads in the approximate run, J_k the gradient of the exact network at the exact
    run, one backward pass for each runner-up.
    graph: exact, as `prepared_for` makes it; replacements: as `choose` makes them; batches: images as ar.run takes
    them. e is computed in float64, runs and gradients in float32; memory is three times the activations of a batch.
    Exactly, logits(approximate) - logits(exact) telescopes into the layers with the rest of the network in place of J.
    Raises VerificationError where |e| exceeds B * E, the layer's certificate, naming layer, image and value;
    RangeEscape, UsageError for a network without classes and for no images, MissingTool without torch.
    """
    clear = require("arithmos.targets.clear.network", "torch")
    networks = clear.Network(graph, device), clear.Network(replace(graph, replacements), device)
    layers = [_Layer(graph, node, replacements[node.output]) for node in graph.nodes if node.output in replacements]
    parts: list[_Part] = []
    n = 0
    for batch in batches:
        parts.append(_part(*networks, layers, admit(graph, named_inputs(graph, batch)), n, runners_up))
        n += len(parts[-1].margin)
        report(f"{n} images")
    if not parts:
        raise UsageError(
            "there are no images to attribute errors on",
            why="the iterable of batches was empty",
            fix="give a few test images; 8 show which layer hurts",
        )
    return _joined(layers, parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one batch: signed, absolute, a_priori and peak are (images, layers), the rest (images,)."""

    margin: np.ndarray
    actual: np.ndarray
    certified: np.ndarray
    signed: np.ndarray
    absolute: np.ndarray
    a_priori: np.ndarray
    peak: np.ndarray
    near: tuple[int, int, int]


def _part(
    exact: Any,
    approximate: Any,
    layers: Sequence[_Layer],
    inputs: Mapping[str, np.ndarray],
    first: int,
    runners_up: int,
) -> _Part:
    gradients = require("arithmos.targets.clear.gradient", "torch").gradients
    output = exact.graph.outputs[0]
    true, found = (_watched(network, inputs, layers, first) for network in (exact, approximate))
    _require_classes(true[output])
    errors = {layer.name: layer.error(found[layer.source], first) for layer in layers}
    near = [layer.near(true[layer.source], found[layer.source]) for layer in layers]
    classes = min(runners_up, true[output].shape[1] - 1)
    order = np.argsort(-true[output], axis=1, kind="stable")[:, : classes + 1]
    rows = gradients(exact, inputs, list(errors), _seeds(true[output], order))
    signed, absolute, a_priori = _products(layers, next(rows), errors)
    certified = _margin(true[output], order, 1) > absolute.sum(axis=1)
    for rank, slopes in enumerate(rows, 2):
        certified &= _margin(true[output], order, rank) > _products(layers, slopes, errors)[1].sum(axis=1)
    margin = _margin(true[output], order, 1)
    peak = np.stack([np.abs(e).reshape(len(e), -1).max(axis=1) for e in errors.values()], axis=1)
    moved = _margin(found[output], order, 1) - margin
    counts = sum(n for n, _ in near), sum(n for _, n in near), classes
    return _Part(margin, moved, certified, signed, absolute, a_priori, peak, counts)


def _joined(layers: Sequence[_Layer], parts: Sequence[_Part]) -> Attribution:
    def whole(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    signed, absolute, a_priori, peak = (whole(name) for name in ("signed", "absolute", "a_priori", "peak"))
    table = tuple(
        Layer(
            layer.name,
            layer.chosen.bound,
            layer.allowed,
            float(peak[:, k].max()),
            _mean(np.abs(signed[:, k])),
            _mean(absolute[:, k]),
            None if layer.allowed is None else _mean(a_priori[:, k]),
        )
        for k, layer in enumerate(layers)
    )
    near = sum(part.near[0] for part in parts), sum(part.near[1] for part in parts)
    sums = signed.sum(axis=1), absolute.sum(axis=1)
    return Attribution(table, whole("margin"), *sums, whole("actual"), whole("certified"), near, parts[0].near[2])


class _Layer:
    """An activation of the exact graph with its polynomial; a class because both are asked for with every batch."""

    def __init__(self, graph: Graph, node: Node, chosen: Replacement) -> None:
        self.name, self.source, self.node, self.chosen = node.output, node.inputs[0], node, chosen
        self.where = str(graph.values[node.output].source)
        error = chosen.composite.error
        scale = chosen.bound if chosen.form == "relu" and chosen.bound is not None else abs(chosen.gain)
        self.allowed = None if error is None else error * scale

    def error(self, u: np.ndarray, first: int) -> np.ndarray:
        """e = r(u) - f(u) in float64, checked against the certificate."""
        chosen, x = self.chosen, u.astype(np.float64)
        offset = chosen.composite.offset if chosen.form == "relu" else 0.0
        approximate = OP_SETS["poly"]["polynomial"].run(
            x, *chosen.composite.stages, bound=chosen.bound, form=chosen.form, offset=offset, gain=chosen.gain
        )
        found = np.asarray(approximate - OP_SETS["float"][self.node.op].run(x, **self.node.attrs))
        if self.allowed is not None:
            limit = self.allowed + ROUNDING * (chosen.bound or 1.0)
            if not float(np.abs(found).max(initial=0)) <= limit:
                self._refuse(x, found, limit, first)
        return found

    def _refuse(self, u: np.ndarray, found: np.ndarray, limit: float, first: int) -> None:
        index = np.unravel_index(int(np.argmax(~(np.abs(found) <= limit))), found.shape)
        raise VerificationError(
            f"'{self.name}' of image {first + int(index[0])} is off by {abs(found[index]):.6g}, "
            f"its certificate allows {self.allowed:.6g}",
            where=self.where,
            why=f"at u = {u[index]:.9g}, which is inside its interval; so the certificate is wrong",
            fix="make the coefficients and their certificate again",
        )

    def near(self, u: np.ndarray, moved: np.ndarray) -> tuple[int, int]:
        """(units whose |u| is at most what they moved by, all units); of smooth functions there is no kink to cross."""
        if self.node.op != "relu":
            return 0, u.size
        change = np.abs(moved - u)
        return int(((np.abs(u) <= change) & (change > 0)).sum()), u.size


def _watched(
    network: Any, inputs: Mapping[str, np.ndarray], layers: Sequence[_Layer], first: int
) -> dict[str, np.ndarray]:
    wanted = {layer.source for layer in layers} | set(network.graph.outputs)
    return {name: array for name, array in network.stream(inputs, first_image=first) if name in wanted}


def _products(
    layers: Sequence[_Layer], slopes: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sum J e, sum |J| |e|, sum |J| allowed), each of shape (images, layers); the last is inf without certificate."""
    signed, absolute, allowed = [], [], []
    for layer in layers:
        slope, e = (a.reshape(len(a), -1) for a in (slopes[layer.name].astype(np.float64), errors[layer.name]))
        signed.append(np.einsum("ni,ni->n", slope, e))
        absolute.append(np.einsum("ni,ni->n", np.abs(slope), np.abs(e)))
        limit = math.inf if layer.allowed is None else layer.allowed
        allowed.append(np.abs(slope).sum(axis=1) * limit)
    return np.stack(signed, axis=1), np.stack(absolute, axis=1), np.stack(allowed, axis=1)


def _seeds(logits: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """For each rank: 1 at the top class, -1 at the class of that rank."""
    images = np.arange(len(logits))
    for rank in range(1, order.shape[1]):
        seed = np.zeros(logits.shape, dtype=np.float32)
        seed[images, order[:, 0]], seed[images, order[:, rank]] = 1, -1
        yield seed


def _margin(logits: np.ndarray, order: np.ndarray, rank: int) -> np.ndarray:
    chosen = np.take_along_axis(logits.astype(np.float64), order, axis=1)
    return np.asarray(chosen[:, 0] - chosen[:, rank])


def _require_classes(logits: np.ndarray) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise UsageError(
            f"an output of the shape {logits.shape} has no classes",
            why="errors are attributed to the margin between the top class and the others",
            fix="give a network that answers with one number for each of at least two classes",
        )


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))
