"""Write what zkCNN reads for one inference, and read it back: the text, the configuration, a page for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.border import admit, named_inputs
from arithmos.ir.graph import Graph
from arithmos.targets.zkcnn.chain import configuration_of, tensors_of
from arithmos.targets.zkcnn.comparison import CONFIGURATION_FILE, TEXT_FILE, Compared, compare_files
from arithmos.targets.zkcnn.configuration import Configuration, Window, document
from arithmos.targets.zkcnn.text import image_line, parameter_lines

VGG_FILE = "vgg-config.txt"

_README = """One inference of an exact integer network for zkCNN (github.com/TAMUCrypto/zkCNN), written by arithmos.

{text:<14} the image (channel, x, y); each layer's weights (co, ci, kx, ky) or (co, ci), and its bias: decimal, exact
{configuration:<14} the layers; by which power of two the text's integers are divided; the shifts of the network
{program}

{layers}

Read back by a replica of zkCNN's arithmetic: {compared}.
An accumulator of zkCNN is 2**k (acc + added_to_bias), acc that of the network; k is 0 unless a tensor reaches less than
half as far as Q = 9 bits allow. zkCNN takes its shifts from each inference: another image needs another file, and has
other integers than the network where a shift differs; the export says where.
Network {network}.
"""

_VGG = """{file:<14} the configuration of its program demo_vgg_run:
               demo_vgg_run {text} {file} result.txt {file} 1"""
_LENET = "The layers are those of its class lenet: lenet nn({height}, {width}, {channels}, 1, MAX, ...)."
_OTHER = "Its programs have no such network: write a class of these layers, as its models.cpp does."


def export(graph: Graph, folder: Path, *, sample: int = 0, golden: Any = None) -> None:
    """Write input.txt, network.json and README.txt for one image into an existing folder; for a VGG its configuration.

    golden: images (as ar.run takes them), of which `sample` is proved. Raises UsageError without an image, and
    VerificationError where zkCNN would shift a layer otherwise for it: every such layer is listed.
    """
    images = np.zeros((0,)) if golden is None else admit(graph, named_inputs(graph, golden))[graph.inputs[0]]
    if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < len(images):
        raise UsageError(
            f"there is no image {sample} to prove",
            why=f"the text holds one inference, and there are {len(images)} images to choose from",
            fix='name one from 0 on with --set sample=N; in Python, give images: ar.export(net, "zkcnn", path, '
            "golden=images)",
        )
    configuration = configuration_of(graph)
    with (folder / TEXT_FILE).open("w", encoding="ascii") as file:
        file.write(image_line(images[sample]))
        file.write(parameter_lines(configuration, tensors_of(graph)))
    (folder / CONFIGURATION_FILE).write_text(json.dumps(document(configuration), indent=1) + "\n")
    if words := vgg_words(configuration):
        (folder / VGG_FILE).write_text(words + "\n")
    (folder / "README.txt").write_text(_readme(configuration, compare_files(graph, folder, images[sample])))


def vgg_words(configuration: Configuration) -> str:
    """The words that zkCNN's program for VGG reads ("64 M 128 M …"); "" for a network that is not of that form.

    3x3 convolutions that keep the extents, at most five 2x2 pools, 3 channels of 32x32; then 512, 512, 10.
    """
    convolutions = [layer for layer in configuration.layers if layer.window]
    linear = [layer.channels_out for layer in configuration.layers if not layer.window]
    pools = [layer.pool for layer in convolutions if layer.pool]
    usual = all(layer.window == Window(3, 1, 1) for layer in convolutions) and set(pools) == {Window(2, 2)}
    if not usual or configuration.image != (3, 32, 32) or linear != [512, 512, 10] or len(pools) != 5:
        return ""
    return " ".join(f"{layer.channels_out}{' M' * (layer.pool is not None)}" for layer in convolutions)


def is_lenet(configuration: Configuration) -> bool:
    """Whether the layers are those of zkCNN's class lenet: pictures of 32x32, or 28x28 with a border of 2."""
    _, height, width = configuration.image
    border = 2 if height == 28 else 0
    windows = [(layer.channels_out, layer.window, layer.pool) for layer in configuration.layers]
    first, second = (6, Window(5, 1, border), Window(2, 2)), (16, Window(5, 1), Window(2, 2))
    linear = [(120, None, None), (84, None, None), (10, None, None)]
    return height == width and height in (28, 32) and windows == [first, second, *linear]


def _readme(configuration: Configuration, compared: Compared) -> str:
    channels, height, width = configuration.image
    program = _VGG if vgg_words(configuration) else _LENET if is_lenet(configuration) else _OTHER
    return _README.format(
        text=TEXT_FILE,
        configuration=CONFIGURATION_FILE,
        program=program.format(file=VGG_FILE, text=TEXT_FILE, height=height, width=width, channels=channels),
        layers="\n".join([f"image {channels} x {height} x {width}", *_words(configuration)]),
        compared=compared,
        network=configuration.network,
    )


def _words(configuration: Configuration) -> list[str]:
    lines = []
    for layer in configuration.layers:
        window, pool = layer.window, layer.pool
        parts = [f"fully connected {layer.channels_in} -> {layer.channels_out}"]
        if window:
            size = f"{window.size}x{window.size}, stride {window.stride}, padding {window.padding}"
            parts = [f"convolution {layer.channels_in} -> {layer.channels_out}, {size}"]
        if layer.shift is not None:
            parts.append(f"relu, shift {layer.shift}")
        if pool:
            parts.append(f"max pool {pool.size}x{pool.size}, stride {pool.stride}")
        lines.append(f"{layer.name}: {'; '.join(parts)}")
    return lines
