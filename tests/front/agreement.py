"""The one check of tracing: the float graph computes what the torch module computes, at batch sizes it has not seen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch

from arithmos.front.trace import trace
from arithmos.ir.check import problems_of
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate


def results(model: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """The tensors a module returns, in the order of its (nested) result."""
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(model(*(x.clone() for x in inputs)))
    return [leaf.double().numpy() for leaf in leaves if leaf is not None]


def relative(got: np.ndarray, expected: np.ndarray) -> float:
    """max |got - expected| / max |expected|."""
    assert got.shape == expected.shape, f"{got.shape} instead of {expected.shape}"
    if not np.isfinite(expected).all():
        return 0.0 if np.array_equal(got, expected) else np.inf
    return float(np.abs(got - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30))


def compare(
    model: torch.nn.Module, graph: Graph, inputs: Sequence[torch.Tensor], dtype: type, tolerance: float
) -> None:
    """Every output of the graph against the module's, in one precision."""
    kind = torch.float64 if dtype is np.float64 else torch.float32
    model = copy.deepcopy(model).to(kind)
    inputs = [x.to(kind) if x.dtype.is_floating_point else x for x in inputs]
    arrays = {name: x.numpy() for name, x in zip(graph.inputs, inputs, strict=True)}
    got = evaluate(graph, arrays, dtype=dtype)
    expected = results(model, inputs)
    assert len(expected) == len(graph.outputs)
    for i, (name, array) in enumerate(zip(graph.outputs, expected, strict=True)):
        error = relative(np.asarray(got[name], dtype=np.float64), array)
        assert error <= tolerance, f"output {i} ({name}): relative error {error:.2e} in {dtype.__name__}"


def agree(
    model: torch.nn.Module,
    *example: torch.Tensor,
    make: Callable[[int], Sequence[torch.Tensor]] | None = None,
    batches: Sequence[int] = (1, 3),
    example_batch: int = 2,
) -> Graph:
    """Trace in float64 with one batch size, then compare float64 and float32 runs with others.

    `example` has any batch; `make(batch)` makes inputs, else they are normal with the shape of the example.
    """
    torch.manual_seed(0)
    model = model.double().eval()

    def normal(batch: int) -> Sequence[torch.Tensor]:
        return [torch.randn(batch, *x.shape[1:], dtype=torch.float64) for x in example]

    make = make or normal
    first = [x.double() if x.dtype.is_floating_point else x for x in make(example_batch)]
    graph = trace(model, tuple(torch.full_like(x, float("nan")) if x.dtype.is_floating_point else x for x in first))
    assert problems_of(graph) == []
    for batch in batches:
        inputs = make(batch)
        compare(model, graph, inputs, np.float64, 1e-10)
        compare(model, graph, inputs, np.float32, 1e-4)
    return graph
