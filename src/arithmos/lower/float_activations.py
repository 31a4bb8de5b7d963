"""The network with its weights on their grids and float activations: what papers on few-bit weights report."""

from __future__ import annotations

from arithmos.ir.graph import Graph, Node
from arithmos.lower.choice import Choice
from arithmos.passes.rewrite import Rewriter, rewrite


def float_activations(prepared: Graph, choice: Choice) -> Graph:
    """The float graph in which every weight is step * integer, and every bias what the choice makes it.

    prepared, choice: of `decide`. Weights keep their type, float32 as a rule.
    """

    def layer(state: Rewriter, node: Node) -> str | None:
        chosen = choice.weights.get(node.output)
        if chosen is None:
            return None
        value, weight = prepared.values[node.output], prepared.constants[node.inputs[1]]
        names = [state.use(node.inputs[0])]
        source = prepared.values[node.inputs[1]].source
        names.append(state.constant(node.inputs[1], chosen.weight.astype(weight.dtype), source))
        if chosen.bias is not None:
            bias = chosen.bias.astype(weight.dtype)
            names.append(state.constant(f"{node.output}.bias", bias, value.source))
        return state.emit(node.op, *names, like=value, **node.attrs)

    def product(state: Rewriter, node: Node) -> str | None:
        if not any(name in choice.weights for name in node.inputs):
            return None
        names = [_factor(state, choice, prepared, name) for name in node.inputs]
        return state.emit(node.op, *names, like=prepared.values[node.output], **node.attrs)

    return rewrite(prepared, {"conv": layer, "linear": layer, "matmul": product})


def _factor(state: Rewriter, choice: Choice, prepared: Graph, name: str) -> str:
    chosen = choice.weights.get(name)
    if chosen is None:
        return state.use(name)
    return state.constant(name, chosen.weight.astype(prepared.constants[name].dtype), prepared.values[name].source)
