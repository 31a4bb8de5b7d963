"""GPFQ by arithmos against the papers' form on data matrices: the same integers, and how many times faster.

Both sides begin with the activations that a layer gets in the two networks and end with its integers. The data form
works in float64, as rows of vectors like the published code, and again with columns contiguous in memory. Gram matrices
in float64 must give the same integers, every one; what quantization itself does (`fitted`) is timed and compared too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import arithmos as ar
from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.lower.analog import is_layer, run_in_numpy
from arithmos.lower.choice import WeightGrid
from arithmos.lower.fit import fitted
from arithmos.lower.quantize import prepare
from arithmos.lower.vectors import vectors
from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.quant.gpfq import gpfq
from arithmos.quant.gram import gram_of_pairs, windows
from arithmos.quant.grid import published
from arithmos.quant.quantiser import nearest
from arithmos.quant.steps import published_step
from arithmos.train.data.datasets import load
from record import data_dir, in_child, record

BITS, SCALAR = 4, 1.16
"""The published defaults: 17 levels, one step a layer."""

SEED = (0, 0)

CODE = """
import json, sys
sys.path.insert(0, "bench")
from gpfq import row_of
print(json.dumps(row_of({n}, {patches!r})))
"""

Batches = list[tuple[np.ndarray, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer's problem: its node, weight and step, its inputs (quantised and float network), what draws windows."""

    node: Node
    weight: np.ndarray
    step: float
    streams: list[list[np.ndarray]]
    recipe: ar.Recipe

    @property
    def real(self) -> np.ndarray:
        """The weights in steps, (rows, d) in float64."""
        return self.weight.reshape(len(self.weight), -1).astype(np.float64) / self.step

    def batches(self) -> Batches:
        """The vectors of both networks, (1, n, d) each; a published one once, weighed by how often it is drawn."""
        return list(vectors(self.node, self.weight, self.streams, self.recipe, SEED))

    def drawn(self) -> Batches:
        """The same as the published code has them: a patch as often as it is drawn."""
        if self.node.op == "linear" or self.recipe.patches == "all":
            return self.batches()
        return [
            tuple(repeated(self.node, self.weight, x, np.random.default_rng((*SEED, index, 0))) for x in pieces)
            for index, pieces in enumerate(zip(*self.streams, strict=True))
        ]


def repeated(node: Node, weight: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many patches of each image as it has, drawn with replacement: (1, n, d), float64."""
    kernel, geometry = weight.shape[2:], {name: node.attrs[name] for name in ("padding", "dilation", "groups")}
    every = windows(x, rng, x.size, kernel=kernel, stride=kernel, **geometry)[0].reshape(len(x), -1, weight[0].size)
    chosen = rng.integers(every.shape[1], size=every.shape[:2])
    return every[np.arange(len(x))[:, None], chosen].reshape(1, -1, every.shape[2]).astype(np.float64)


def on_data(layer: Layer, batches: Batches, *, by_column: bool = False) -> np.ndarray:
    """Our version of the published loop: u, of all rows at once, holds an error for every vector (arXiv 2201.11113)."""
    layout = np.asfortranarray if by_column else np.ascontiguousarray
    parts = (np.concatenate([batch[i][0] for batch in batches]).astype(np.float64) for i in range(2))
    x, y = (torch.from_numpy(layout(part)) for part in parts)
    w, quantise = torch.from_numpy(layer.real), nearest(published(BITS))
    q, u = torch.zeros_like(w), torch.zeros(len(w), len(x), dtype=torch.float64)
    for t in range(w.shape[1]):
        u += w[:, t, None] * y[:, t]
        norm = torch.linalg.vector_norm(x[:, t]) ** 2
        level = u @ x[:, t] / norm if norm > 0 else torch.zeros(len(w), dtype=torch.float64)
        q[:, t] = torch.from_numpy(quantise(level.numpy()))
        u -= q[:, t, None] * x[:, t]
    return q.numpy().astype(np.int64)


def by_arithmos(layer: Layer) -> np.ndarray:
    """The integers as `quantize` finds them, from the activations on; with the layer's error, which it reports."""
    constants = {layer.node.inputs[1]: layer.weight}
    rows = len(layer.weight)
    empty = np.zeros(layer.weight.shape, dtype=np.int64)
    chosen = WeightGrid(np.full(rows, layer.step), published(BITS), empty)
    found, _ = fitted(layer.node, constants, chosen, layer.streams, layer.recipe, (0, 0), np.zeros(rows))
    return found.integers.reshape(rows, -1)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, wall seconds, processor seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def measured(layer: Layer, data_first: bool) -> tuple[np.ndarray, dict[str, float]]:
    """The integers of the data form, and the seconds of every form; one after the other, in either order."""
    found: dict[str, np.ndarray] = {}
    figures: dict[str, float] = {}

    def part(name: str, work: Callable[[], Any]) -> Any:
        found[name], figures[f"{name}_wall_s"], figures[f"{name}_cpu_s"] = timed(work)
        return found[name]

    def forms() -> Iterator[None]:
        yield part("data", lambda: on_data(layer, layer.drawn()))
        yield part("columns", lambda: on_data(layer, layer.drawn(), by_column=True))
        moments = part("grams", lambda: gram_of_pairs(float64(layer.batches())))
        yield part("solve", lambda: gpfq(layer.real[None], nearest(published(BITS)), moments)[0])

    if data_first:
        list(forms())
    part("arithmos", lambda: by_arithmos(layer))
    if not data_first:
        list(forms())
    assert (found["solve"] == found["data"]).all() and (found["columns"] == found["data"]).all(), "integers differ"
    return found["data"], figures | {"other_integers": int((found["arithmos"] != found["data"]).sum())}


def float64(batches: Batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches in float64."""
    for x, y in batches:
        yield x.astype(np.float64), y.astype(np.float64)


def inputs_of_layers(
    graph: Graph, images: np.ndarray, changed: Mapping[str, np.ndarray]
) -> Iterator[tuple[Node, list[np.ndarray]]]:
    """Every conv and linear with its input in pieces; constants are taken from `changed` if they are there by then."""
    live, spent = {graph.inputs[0]: images}, spent_after(graph)
    for node in graph.nodes:
        if is_layer(graph, node):
            yield node, np.array_split(live[node.inputs[0]], max(1, len(images) // 32))
        operands = [live[n] if n in live else changed.get(n, graph.constants.get(n)) for n in node.inputs]
        live[node.output] = run_in_numpy(node, operands)
        for name in spent[node.output]:
            live.pop(name, None)


def row_of(n_images: int, patches: str) -> dict[str, Any]:
    """All layers of ResNet-20, each on the inputs that those before it leave: seconds of all forms, and ratios."""
    torch.set_num_threads(1)
    model, preparation = build("resnet20"), entry("resnet20").preparation
    load_weights(model, data_dir("weights/cifar10-resnet20.safetensors"))
    graph = prepare(ar.trace(model, torch.zeros(2, 3, 32, 32)))
    images, _ = load("cifar10", "train", data_dir("cifar10"), limit=n_images, preparation=preparation)
    recipe = ar.Recipe(rounding="gpfq", levels="published", scalar=SCALAR, patches=patches, retain_rate=1.0)
    changed: dict[str, np.ndarray] = {}
    total: dict[str, float] = {}
    weights = n = 0
    networks = (inputs_of_layers(graph, images, changed), inputs_of_layers(graph, images, {}))
    for (node, seen), (_, analog) in zip(*networks, strict=True):
        weight = graph.constants[node.inputs[1]]
        step = published_step(weight, SCALAR, 1.0, published(BITS).hi)
        layer = Layer(node, weight, step, [seen, analog], recipe)
        integers, figures = measured(layer, data_first=n % 2 == 0)
        changed[node.inputs[1]] = (integers * step).reshape(weight.shape).astype(np.float32)
        total = {key: total.get(key, 0.0) + figure for key, figure in figures.items()}
        weights, n = weights + integers.size, n + 1
    row: dict[str, Any] = {"layers": n, "integers": weights} | {key: round(s, 3) for key, s in total.items()}
    for kind in ("wall", "cpu"):
        seconds = {form: total[f"{form}_{kind}_s"] for form in ("data", "columns", "grams", "solve", "arithmos")}
        row[f"times_{kind}"] = round(seconds["data"] / seconds["arithmos"], 1)
        row[f"times_float64_{kind}"] = round(seconds["data"] / (seconds["grams"] + seconds["solve"]), 1)
        row[f"times_by_column_{kind}"] = round(seconds["columns"] / seconds["arithmos"], 1)
        row[f"times_solve_{kind}"] = round(seconds["data"] / seconds["solve"], 1)
    return row


def main(quick: bool = False, long: bool = False) -> dict[str, Any]:
    """512 and 2,000 training images (quick: 32), in one thread, a process for each row.

    Ten minutes on a machine at rest. long: also all windows of them, ten times that, in 10 GB.
    """
    if data_dir("cifar10") is None or data_dir("weights/cifar10-resnet20.safetensors") is None:
        return {}
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    wanted = [(32, "published"), (32, "all")] if quick else [(512, "published"), (2000, "published")]
    wanted += [(512, "all"), (2000, "all")] * long
    figures: dict[str, Any] = {}
    for n, patches in wanted:
        row = figures[f"{n} images, {patches} patches"] = in_child(CODE.format(n=n, patches=patches))
        print(n, patches, row, file=sys.stderr, flush=True)
    return record("gpfq", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv, "--long" in sys.argv))
