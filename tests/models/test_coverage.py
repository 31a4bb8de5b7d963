"""Every architecture of the zoo, traced and quantized: the same function in floats, targets that run it as claimed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import arithmos
from arithmos.models.registry import build, entry, names
from arithmos.targets.target import find, preflight

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
from models.deterministic import fill  # noqa: E402

pytestmark = pytest.mark.slow

# One of each declaration, and of each kind of layer within it: a side of the picture, and what makes it small.
SMALLEST: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet8": (32, {}),
    "digits_cnn": (8, {}),
    "mnist_cnn": (28, {}),
    "googlenet": (33, {"classes": 10}),
    "inception_v3": (75, {"classes": 10}),
    "lenet5": (28, {}),
    "cifar_lenet5": (32, {}),
    "mnist_mlp": (28, {}),
    "digits_mlp": (8, {}),
    "resnet18": (32, {"classes": 10}),
    "resnet50": (32, {"classes": 10}),
    "cifar_resnet18": (16, {}),
    "cifar_resnet50": (8, {}),
    "vgg11": (64, {"classes": 10, "hidden": 64}),
    "vgg11_bn": (32, {"classes": 10, "hidden": 64}),
    "cifar_vgg11": (32, {}),
    "cifar_vgg11_bn": (32, {}),
}


def test_every_declaration_is_here() -> None:
    assert {declaration(name) for name in SMALLEST} == {declaration(name) for name in names()}


def declaration(name: str) -> tuple[str, str]:
    return entry(name).builder, entry(name).dataset


@pytest.mark.parametrize("name", SMALLEST)
def test_traces_quantizes_and_runs_where_the_table_says(name: str) -> None:
    size, options = SMALLEST[name]
    check(fill(build(name, size=size, **options)), name, size)


@pytest.mark.parametrize(("name", "size"), [("googlenet", 33), ("inception_v3", 75)])
def test_with_transformed_pictures(name: str, size: int) -> None:
    check(fill(build(name, size=size, classes=10, transform_input=True)), name, size)


def check(network: torch.nn.Module, name: str, size: int) -> None:
    images = np.random.default_rng(0).standard_normal((2, entry(name).input_shape[0], size, size), dtype=np.float32)
    graph = arithmos.trace(network, images)
    assert len(graph.outputs) == 1
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(arithmos.run(graph, images), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    net = arithmos.quantize(graph, arithmos.calibrate(graph, [images]))
    assert np.array_equal(arithmos.run(net, images, target="engine"), arithmos.run(net, images, target="interpreter"))
    for target in entry(name).targets:
        preflight(net, find(target))
