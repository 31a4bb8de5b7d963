"""What all runs of one network share, made once and mapped into the memory of every worker.

In FOLDER/KEY: the float graph, its calibration images and the float network's inputs of every layer on them, what
calibration saw, test images with labels, and the float network's accuracy. A run passes no image through the float
network again, but for corrections: equalize makes another float network, batch_norm reads the moments of its values.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.atomic import output_dir, remove_scratch
from arithmos.errors import ArithmosError, UsageError
from arithmos.extras import require
from arithmos.ir.codec import digest, load, save
from arithmos.ir.graph import Graph
from arithmos.lower.analog import is_layer, layer_inputs
from arithmos.lower.calibrate import Stats, calibrate, pieces
from arithmos.lower.quantize import prepare
from arithmos.sweep.observations import read_observations, write_observations
from arithmos.sweep.ranks import ranks, top

LAYOUT = 1
"""Raised when the files of such a folder change."""

GRAPH, FACTS, OBSERVATIONS, ANALOG = "graph", "facts.json", "observations.safetensors", "analog"
CALIBRATION, IMAGES, LABELS = "calibration.npy", "images.npy", "labels.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The opened folder. facts: origin, n_calibration, top1 and top5 of the float network (top5 None below 5 classes).

    inputs: {layer: the float network's input of it on all calibration images}, in graph order.
    """

    graph: Graph
    stats: Stats
    inputs: Mapping[str, np.ndarray]
    images: np.ndarray
    labels: np.ndarray
    facts: Mapping[str, Any]

    def kept(self, n: int) -> Stats:
        """What calibration saw of all images, with the first n of them as samples."""
        starts = np.cumsum([0, *(len(piece[self.graph.inputs[0]]) for piece in self.stats.samples)])
        together = zip(starts.tolist(), self.stats.samples, strict=False)
        samples = [
            {name: array[: n - start] for name, array in piece.items()} for start, piece in together if start < n
        ]
        return replace(self.stats, samples=tuple(samples))

    def analog(self, stats: Stats) -> Iterator[tuple[str, Sequence[np.ndarray]]]:
        """The inputs as `decide` takes them beside these statistics: in the pieces of their samples."""
        ends = np.cumsum([len(piece[self.graph.inputs[0]]) for piece in stats.samples])
        yield from ((name, np.split(array[: ends[-1]], ends[:-1])) for name, array in self.inputs.items())


def key_of(graph: Graph, calibration: np.ndarray, images: np.ndarray, labels: np.ndarray) -> str:
    """16 hex digits of a digest of all that the folder is made of."""
    found = hashlib.sha256(f"{LAYOUT} {digest(graph)}".encode())
    for array in (calibration, images, labels):
        found.update(f"{array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def disk_bytes(graph: Graph, n_calibration: int, n_test: int) -> int:
    """What `write` takes on the disk, without some kilobytes of text: values are float32."""
    each = 4 * abs(math.prod(graph.values[graph.inputs[0]].shape))
    prepared = prepare(graph)
    inputs = sum(4 * abs(math.prod(prepared.values[name].shape)) for name in set(_inputs(prepared).values()))
    weights = sum(array.nbytes for array in graph.constants.values())
    return n_calibration * (each + inputs) + n_test * (each + 8) + weights


def write(
    folder: Path,
    graph: Graph,
    calibration: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    origin: Mapping[str, Any],
) -> str:
    """Make FOLDER/KEY, whole or not at all; where it is there already nothing is done. Returns the key.

    graph: of one input and one output (images, classes). calibration, images: (n, ...); labels: (n,) whole numbers.
    Only one process may write into the folder. Raises UsageError for other networks, a full disk, and as `calibrate`.
    """
    _check(graph, labels)
    key = key_of(graph, calibration, images, labels)
    if (folder / key).exists():
        return key
    if folder.exists():
        remove_scratch(folder)
    with output_dir(folder / key) as draft:
        save(graph, draft / GRAPH)
        stats = calibrate(graph, [calibration], keep=1)
        names = write_observations(draft / OBSERVATIONS, stats.observations)
        for name, array in ((CALIBRATION, calibration), (IMAGES, images), (LABELS, labels)):
            np.save(draft / name, array, allow_pickle=False)
        layers = _write_inputs(draft / ANALOG, graph, calibration)
        found, n_classes = ranks(graph, images, labels), graph.values[graph.outputs[0]].shape[1]
        facts = {
            "origin": dict(origin),
            "n_calibration": len(calibration),
            "top1": top(found, 1),
            "top5": top(found, 5) if n_classes >= 5 else None,
            "layers": layers,
            "observed": names,
        }
        (draft / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return key


@lru_cache(maxsize=2)
def read(folder: Path, key: str) -> Shared:
    """The folder opened, the last two kept. Large arrays are mapped: pages are read when they are needed.

    Raises UsageError where it is not there, as on a worker that does not see the sweep's disk, and where it is damaged.
    """
    place = folder / key
    if not (place / FACTS).is_file():
        raise UsageError(
            "what the runs share is not there",
            where=str(place),
            why="this worker sees no such folder",
            fix="put the sweep's --out on a disk that all machines of the cluster have at the same path",
        )
    try:
        return _opened(place)
    except (OSError, ValueError, KeyError, TypeError, ArithmosError) as error:
        raise UsageError(
            "what the runs share is damaged",
            where=str(place),
            why=str(error).strip().partition("\n")[0],
            fix=f"remove {place}, and it is made again",
        ) from error


def _opened(place: Path) -> Shared:
    facts = json.loads((place / FACTS).read_text())
    graph = load(place / GRAPH)
    calibration = _mapped(place / CALIBRATION)
    samples = tuple(pieces(graph, {graph.inputs[0]: calibration}, len(calibration)))
    observations = read_observations(place / OBSERVATIONS, facts["observed"])
    files = {file: _mapped(place / ANALOG / file) for file in dict.fromkeys(facts["layers"].values())}
    return Shared(
        graph,
        Stats(observations, samples, len(calibration)),
        {layer: files[file] for layer, file in facts["layers"].items()},
        _mapped(place / IMAGES),
        _mapped(place / LABELS),
        facts,
    )


def _check(graph: Graph, labels: np.ndarray) -> None:
    shape = graph.values[graph.outputs[0]].shape
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(shape) != 2:
        raise UsageError(
            "this network cannot be swept",
            why=f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, the first of shape {shape}: a "
            "sweep measures classifiers, from one batch of images to one of logits",
            fix="give a network that returns (images, classes)",
        )
    if len(labels) == 0 or not (int(labels.min()) >= 0 and int(labels.max()) < shape[1]):
        raise UsageError(
            "the labels do not fit the network",
            why="there are none" if len(labels) == 0 else f"they go to {int(labels.max())}, it has {shape[1]} classes",
            fix="give labelled test images of the data set that the network was trained on",
        )


def _inputs(prepared: Graph) -> dict[str, str]:
    """{layer: the value that is its input}, in graph order."""
    return {node.output: node.inputs[0] for node in prepared.nodes if is_layer(prepared, node)}


def _write_inputs(folder: Path, graph: Graph, calibration: np.ndarray) -> dict[str, str]:
    """The float network's inputs of every layer, a file for each value, appended piece by piece: {layer: file}.

    Not by a writable map, in which a full disk is a fatal signal and no error.
    """
    folder.mkdir()
    prepared, run_node = prepare(graph), require("arithmos.targets.clear.nodes", "torch").run_node
    inputs = _inputs(prepared)
    files = {value: f"{n}.npy" for n, value in enumerate(dict.fromkeys(inputs.values()))}
    for index, sample in enumerate(pieces(prepared, {prepared.inputs[0]: calibration}, len(calibration))):
        written = set()
        for layer, (array,) in layer_inputs(prepared, [sample], run_node):
            value = inputs[layer]
            if value in written:
                continue
            written.add(value)
            with (folder / files[value]).open("ab") as file:
                if index == 0:
                    _write_header(file, (len(calibration), *array.shape[1:]))
                file.write(np.ascontiguousarray(array, dtype="<f4").data)
    return {layer: files[value] for layer, value in inputs.items()}


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)


def _mapped(file: Path) -> np.ndarray:
    """A mapped array. Its pages are shared by all processes; "c" because torch takes no array that is read-only."""
    return np.asarray(np.load(file, mmap_mode="c", allow_pickle=False))
