"""What one changed value does to the rest of a network: only what depends on it is computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from arithmos.targets.clear.network import TABLE, Network


@torch.no_grad()
def changed(network: Network, values: Mapping[str, Tensor], name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(name, value) of everything that depends on the value `name`, in graph order, given that it is `tensor`.

    network: of a float graph; values: all values of a run of it on one batch, which are read where nothing changed. A
    changed value is forgotten after its last reader.
    """
    nodes, known = network.graph.nodes, {**network.constants, **values}
    live = {name: tensor}
    for node in nodes:
        if node.output == name or live.keys().isdisjoint(node.inputs):
            continue
        live[node.output] = TABLE[node.op](*(live.get(n, known.get(n)) for n in node.inputs), **node.attrs)
        yield node.output, live[node.output]
        for spent in network.spent[node.output]:
            live.pop(spent, None)
