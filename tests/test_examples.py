"""The examples: a reader that knows numpy alone recomputes dumps, and networks in files of one's own go all the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from arithmos.evidence.dump import dump
from arithmos.ir.codec import random_inputs
from arithmos.ir.graph import Graph
from arithmos.models.registry import entry

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
READER = EXAMPLES / "recompute_dump.py"


@pytest.fixture(scope="session")
def without_arithmos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which importing arithmos, torch or safetensors fails: a reader of the dump has none of them."""
    folder = tmp_path_factory.mktemp("absent")
    for name in ("arithmos", "torch", "safetensors"):
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is absent')\n")
    return {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


def read(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, READER, folder], env=environment, capture_output=True, text=True)


def change_one(folder: Path, name: str) -> None:
    """The last element of a stored tensor, one higher or lower; nothing else."""
    path = folder / "values.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:start])[name]["data_offsets"]
    count = int(np.prod(json.loads(data[8:start])[name]["shape"]))
    data[start + end - (end - begin) // count] ^= 1
    path.write_bytes(data)


def test_arithmos_is_absent_where_the_reader_runs(without_arithmos: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "import arithmos"], env=without_arithmos, capture_output=True)
    assert done.returncode == 1
    assert b"arithmos is absent" in done.stderr


@pytest.mark.parametrize("format", ["safetensors", "npz"])
@pytest.mark.parametrize("name", ["residual_cnn", "pools", "inception"])
def test_every_layer_is_recomputed(tmp_path: Path, without_arithmos: dict[str, str], name: str, format: str) -> None:
    graph = factories.INTEGER[name]()
    done = read(dump(graph, random_inputs(graph, 2), tmp_path / "dump", format=format), without_arithmos)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(graph.nodes)} layers, every integer equal\n", "")


@pytest.mark.parametrize("node", ["stem", "block1.relu2", "logits"])
def test_one_changed_integer_names_its_layer(tmp_path: Path, without_arithmos: dict[str, str], node: str) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "dump")
    change_one(folder, node)
    done = read(folder, without_arithmos)
    (made,) = [n for n in graph.nodes if n.output == node]
    assert done.returncode == 1
    assert done.stderr == f"{node} is not what {made.op} makes of {', '.join(made.inputs)}\n"


def test_a_changed_parameter_names_the_first_layer_that_reads_it(
    tmp_path: Path, without_arithmos: dict[str, str]
) -> None:
    graph = factories.residual_cnn()
    folder = dump(graph, random_inputs(graph, 2), tmp_path / "dump")
    change_one(folder, "stem.acc.weight")
    done = read(folder, without_arithmos)
    assert (done.returncode, done.stderr.partition(" is not")[0]) == (1, "stem.acc")


def test_elements_of_a_field_are_refused(tmp_path: Path, without_arithmos: dict[str, str]) -> None:
    graph = factories.residual_cnn()
    done = read(dump(graph, random_inputs(graph, 1), tmp_path / "dump", field="m31"), without_arithmos)
    assert (done.returncode, done.stderr) == (
        1,
        "this reader takes plain integers in safetensors or npz, not elements of a field, hex or C\n",
    )


def quantized(network: Any, shape: tuple[int, ...], batch: int = 2) -> tuple[Graph, np.ndarray]:
    torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    import arithmos as ar  # noqa: PLC0415, after the check

    images = np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    graph = ar.trace(network, torch.zeros(2, *shape))
    return ar.quantize(graph, ar.calibrate(graph, [images])), images


FAMILIES = [  # one of every family, at the smallest pictures and with the fewest classes that it takes
    *(("resnet18", 32), ("resnet50", 32), ("googlenet", 32), ("inception_v3", 75)),
    *(("resnet20", 32), ("cifar_resnet18", 32), ("cifar_vgg11", 32), ("cifar_vgg11_bn", 32), ("cifar_lenet5", 32)),
    *(("lenet5", 28), ("mnist_cnn", 28), ("mnist_mlp", 28), ("digits_cnn", 8), ("digits_mlp", 8)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_every_family_of_the_zoo(tmp_path: Path, without_arithmos: dict[str, str], name: str, size: int) -> None:
    from zoo_networks import alive  # noqa: PLC0415, needs torch

    net, images = quantized(alive(name, size=size, classes=10), (entry(name).input_shape[0], size, size))
    folder = dump(net, images[:1], tmp_path / "dump", target="engine", witness=True)
    done = read(folder, without_arithmos)
    assert (done.returncode, done.stdout) == (0, f"{len(net.nodes)} layers, every integer equal\n"), done.stderr
    changed = next(n.output for n in reversed(net.nodes) if n.op == "requantize")
    change_one(folder, changed)
    assert read(folder, without_arithmos).stderr.startswith(f"{changed} is not what requantize makes of ")
