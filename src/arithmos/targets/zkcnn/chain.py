"""An integer network that passed the preflight as zkCNN's configuration and tensors."""

from __future__ import annotations

import dataclasses

import numpy as np

from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph, Node
from arithmos.targets.zkcnn.configuration import Configuration, Layer, Window
from arithmos.targets.zkcnn.refusal import LAYERS, ROUNDINGS


def configuration_of(graph: Graph) -> Configuration:
    """The layers in order, each with the shift and the pool that follow it."""
    layers: list[Layer] = []
    for node in graph.nodes:
        if node.op in LAYERS:
            layers.append(_layer(graph, node))
        elif node.op in ROUNDINGS:
            layers[-1] = dataclasses.replace(layers[-1], shift=node.attrs.get("shift", 0))
        elif node.op == "max_pool":
            layers[-1] = dataclasses.replace(layers[-1], pool=Window(node.attrs["kernel"][0], node.attrs["stride"][0]))
    _, channels, height, width = graph.values[graph.inputs[0]].shape
    return Configuration(digest(graph), (channels, height, width), tuple(layers))


def tensors_of(graph: Graph) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of every layer as int64; zeros where it has no bias."""
    found = []
    for node in graph.nodes:
        if node.op in LAYERS:
            weight, *bias = (graph.constants[name].astype(np.int64) for name in node.inputs[1:])
            found.append((weight, np.broadcast_to(bias[0] if bias else np.int64(0), len(weight))))
    return found


def _layer(graph: Graph, node: Node) -> Layer:
    weight = graph.constants[node.inputs[1]]
    window = None
    if node.op == "conv":
        window = Window(weight.shape[2], node.attrs["stride"][0], node.attrs["padding"][0][0])
    return Layer(node.output, weight.shape[1], weight.shape[0], None, window)
