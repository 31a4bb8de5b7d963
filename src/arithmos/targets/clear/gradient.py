"""Gradients of a float network's output with respect to its values, on torch in float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from arithmos.ir.graph import spent_after
from arithmos.targets.clear.network import TABLE, Network

SLOPES = {**TABLE, "relu": lambda x: (torch.relu(x) + x.clamp(min=0)) / 2}
"""relu with the slope 1/2 at 0, which is that of its polynomials: equal elements of a maximum share its gradient."""


def gradients(
    network: Network, inputs: Mapping[str, np.ndarray], names: Sequence[str], seeds: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """For each seed, {name: d (sum of seed * output) / d value}: one forward pass, then one backward pass a seed.

    network: of a float graph; seeds: arrays of the shape of its first output, float; a value that the output does not
    depend on has the gradient 0. Samples of a batch do not mix, so that each sample's gradients are its own.
    """
    graph = network.graph
    live: dict[str, Tensor] = {name: torch.from_numpy(inputs[name]).to(network.device) for name in graph.inputs}
    live |= network.constants
    kept: dict[str, Tensor] = {}
    wanted = set(names)
    spent = spent_after(graph, keep=graph.outputs)
    with torch.enable_grad():
        for node in graph.nodes:
            result = SLOPES[node.op](*(live[name] for name in node.inputs), **node.attrs)
            if node.output in wanted:
                result = kept[node.output] = result if result.requires_grad else result.detach().requires_grad_()
            live[node.output] = result
            for name in spent[node.output]:
                live.pop(name, None)
    output = live[graph.outputs[0]]
    order = [name for name in names if name in kept]
    for seed in seeds:
        found = torch.autograd.grad(
            output,
            [kept[name] for name in order],
            torch.from_numpy(np.ascontiguousarray(seed, dtype=np.float32)).to(output),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        yield {name: slope.cpu().numpy() for name, slope in zip(order, found, strict=True)}
