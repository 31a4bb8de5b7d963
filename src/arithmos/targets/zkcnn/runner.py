"""The replica as a runner: each sample by way of the text, its integers in those of the network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from arithmos.errors import ArithmosError, VerificationError
from arithmos.ir.graph import Graph
from arithmos.targets.target import Runner
from arithmos.targets.zkcnn.chain import configuration_of, tensors_of
from arithmos.targets.zkcnn.configuration import VALUE_BITS, Configuration
from arithmos.targets.zkcnn.refusal import LAYERS, ROUNDINGS
from arithmos.targets.zkcnn.replica import Inference, infer, n_image, n_parameters, parameters_of, pooled
from arithmos.targets.zkcnn.text import image_line, numbers_of, parameter_lines

FIX = (
    "zkCNN takes each shift from the accumulators of the very inference: for these inputs, calibrate on them with\n"
    "--scales power_of_two --weight-scale tensor --activation-observer zkcnn;\n"
    "to compare the others alone, name them with --input FILE --samples 0"
)


def prepare(graph: Graph, every: bool) -> Runner:
    """A function from inputs to every value (the outputs alone cost as much).

    The parameters are written to text and read back once, the image for each sample. Raises VerificationError that
    lists every layer which zkCNN would shift otherwise, of all samples of a batch.
    """
    configuration = configuration_of(graph)
    text = parameter_lines(configuration, tensors_of(graph))
    parameters = parameters_of(configuration, numbers_of(text, n_parameters(configuration), "the parameters"))
    wanted = [*graph.inputs, *(node.output for node in graph.nodes)] if every else list(graph.outputs)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = []
        problems: list[str] = []
        for i, image in enumerate(inputs[graph.inputs[0]]):
            try:
                numbers = numbers_of(image_line(image), n_image(configuration), "the image")
                found = infer(configuration, numbers, parameters)
            except ArithmosError as error:
                problems.append(f"input {i}: {error.what}")
                continue
            if other := other_shifts(configuration, found):
                problems.append(f"input {i}: {', '.join(other)}")
            else:
                rows.append(shown(graph, configuration, found))
        if problems:
            raise VerificationError(
                f"zkCNN computes other integers for {len(problems)} of {len(rows) + len(problems)} inputs",
                why="\n".join(problems),
                fix=FIX,
            )
        shapes = {name: graph.values[name].shape[1:] for name in wanted}
        return {name: np.array([row[name] for row in rows], np.int64).reshape(-1, *shapes[name]) for name in wanted}

    return run


def other_shifts(configuration: Configuration, found: Inference) -> list[str]:
    """A phrase for each layer that zkCNN shifts otherwise than the network, in the network's integers."""
    pairs = zip(configuration.layers, found.value_bits[1:], strict=False)  # the last layer is not shifted
    return [
        f"{layer.name} shifted by {(layer.shift or 0) + VALUE_BITS - bits} (by {layer.shift} in the network)"
        for layer, bits in pairs
        if bits != VALUE_BITS
    ]


def shown(graph: Graph, configuration: Configuration, found: Inference) -> dict[str, np.ndarray]:
    """Every value of one sample, where the shifts are equal.

    A tensor of the text whose numbers reach less than half as far as Q allows has more bits there: zkCNN's integers are
    then 2**k times the network's, and it shifts by k more. Accumulators are acc / 2**k - 2**(shift - 1).
    """
    raw = {graph.inputs[0]: found.image >> (found.value_bits[0] - VALUE_BITS)}  # exact: 2**k times the network's
    values, i = dict(raw), -1
    for node in graph.nodes:
        before = raw.get(node.inputs[0])
        assert before is not None
        if node.op in LAYERS:
            i += 1
            raw[node.output] = found.accumulators[i]
        elif node.op == "max_pool":
            raw[node.output] = pooled(before, configuration.layers[i].pool)
        elif node.op in ROUNDINGS:
            raw[node.output] = np.maximum(before, 0) >> found.shift(i)
        else:
            raw[node.output] = before.reshape(-1)
        layer = configuration.layers[i]
        k = found.value_bits[i] + found.weight_bits[i] - layer.bias_bits
        is_sum = node.op in LAYERS or (node.op == "max_pool" and node.inputs[0] == layer.name)
        if is_sum:
            assert not np.any(raw[node.output] & ((1 << k) - 1)), f"{node.output} is no multiple of 2**{k}"
        values[node.output] = (raw[node.output] >> k) - layer.half if is_sum else raw[node.output]
    return values
