"""A text file against the network it was written from: every accumulator by ==, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arithmos.errors import UsageError, VerificationError
from arithmos.ir.codec import digest
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import interval_of
from arithmos.targets.zkcnn.configuration import VALUE_BITS, Configuration, Layer, read_configuration
from arithmos.targets.zkcnn.replica import Inference, infer, n_image, n_parameters, parameters_of
from arithmos.targets.zkcnn.rule import REACH
from arithmos.targets.zkcnn.runner import FIX, other_shifts
from arithmos.targets.zkcnn.text import numbers_of

TEXT_FILE = "input.txt"
CONFIGURATION_FILE = "network.json"


@dataclass(frozen=True, slots=True)
class Compared:
    """Layers and numbers whose accumulators were equal, all of them."""

    layers: int
    accumulators: int

    def __str__(self) -> str:
        return f"all accumulators are equal: {self.accumulators:,} numbers of {self.layers} layers"


def compare_files(graph: Graph, folder: Path, image: np.ndarray | None = None) -> Compared:
    """The replica reads the folder's text and configuration; the interpreter runs the image of the same text.

    image: the integers that the text was written for, if they are at hand; those of the text must be equal to them.
    Raises VerificationError with every layer that differs, and every layer that zkCNN shifts otherwise; UsageError for
    files of another network or damaged ones.
    """
    configuration = read_configuration(folder / CONFIGURATION_FILE)
    if configuration.network != digest(graph):
        raise UsageError(
            "these zkCNN files are of another network",
            where=str(folder),
            why=f"network {configuration.network}, this is {digest(graph)}",
            fix="give the bundle they were exported from, or export again",
        )
    found = read_inference(configuration, folder / TEXT_FILE)
    if found.value_bits[0] < VALUE_BITS:
        raise UsageError(
            "the image of this text is none for the network",
            where=str(folder / TEXT_FILE),
            why=f"its numbers differ by more than {REACH} / 2**{VALUE_BITS}",
            fix="write it again with `arithmos export --target zkcnn`",
        )
    pixels = found.image >> (found.value_bits[0] - VALUE_BITS)
    allowed = graph.values[graph.inputs[0]].range
    assert allowed is not None
    if interval_of(pixels) not in allowed:
        raise UsageError(
            "the image of this text is none for the network",
            where=str(folder / TEXT_FILE),
            why=f"its integers are {interval_of(pixels)}, the network takes {allowed}",
            fix="write it again with `arithmos export --target zkcnn`",
        )
    expected = evaluate(graph, {graph.inputs[0]: pixels[None]}, every=True)
    problems = [f"zkCNN has {other}" for other in other_shifts(configuration, found)]
    if image is not None and (n := int((pixels != image).sum())):
        problems.append(f"{graph.inputs[0]}: {n:,} of {pixels.size:,} pixels of the text are not the image's")
    for i, layer in enumerate(configuration.layers):
        problems += _different(layer, i, found, expected[layer.name][0])
    if problems:
        raise VerificationError(
            "zkCNN computes other integers than the network from this text",
            where=TEXT_FILE,
            why="\n".join(problems),
            fix=FIX if other_shifts(configuration, found) else "write the files again; nothing may change them",
        )
    return Compared(len(configuration.layers), sum(acc.size for acc in found.accumulators))


def read_inference(configuration: Configuration, path: Path) -> Inference:
    """What zkCNN computes from a text file. Raises UsageError for a text that is none for this configuration."""
    count = n_image(configuration) + n_parameters(configuration)
    try:
        numbers = numbers_of(path.read_text(), count, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the zkCNN text cannot be read", where=str(path), why=str(error), fix="export it again"
        ) from error
    image, rest = np.split(numbers, [n_image(configuration)])
    return infer(configuration, image, parameters_of(configuration, rest))


def _different(layer: Layer, i: int, found: Inference, expected: np.ndarray) -> list[str]:
    """The first accumulator of a layer that differs, in the text's units: 2**k (acc + 2**(shift - 1))."""
    k = found.value_bits[i] + found.weight_bits[i] - layer.bias_bits
    wanted, got = (array.astype(object) for array in (expected + layer.half, found.accumulators[i]))  # of any size
    wrong = np.asarray((wanted << k) != got if k >= 0 else wanted != (got << -k))
    if not wrong.any():
        return []
    index = np.unravel_index(int(wrong.argmax()), wrong.shape)
    place = ", ".join(map(str, index))
    return [
        f"{layer.name}[{place}]: the text gives {got[index]} / 2**{k}, the network {wanted[index]} "
        f"with its half step; {int(wrong.sum()):,} of {wrong.size:,} differ"
    ]
