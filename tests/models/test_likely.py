"""The network that a file's tensors were made for."""

from __future__ import annotations

import pytest

from arithmos.models.likely import Likeness, Shapes, agreement, likely, other_classes
from arithmos.models.registry import build, names

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')


def shapes(name: str, **options: object) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build(name, **options).state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_network_is_recognised(name: str) -> None:
    assert likely(shapes(name)) == Likeness(name, 1.0, None)


@pytest.mark.parametrize("name", ["resnet20", "cifar_vgg11_bn", "mnist_mlp", "googlenet", "inception_v3"])
def test_with_another_number_of_classes(name: str) -> None:
    assert likely(shapes(name, classes=37)) == Likeness(name, 1.0, 37)


def test_what_only_training_reads_does_not_count() -> None:
    assert likely(shapes("googlenet", auxiliary=False)) == Likeness("googlenet", 1.0, None)
    resnet = {key: shape for key, shape in shapes("resnet44").items() if not key.endswith("num_batches_tracked")}
    assert likely(resnet) == Likeness("resnet44", 1.0, None)


def test_a_changed_network_is_recognised_by_most_of_its_tensors() -> None:
    changed = {**shapes("resnet32"), "linear.weight": (10, 128), "head.weight": (3, 3)}
    found = likely(changed)
    assert found is not None and found.name == "resnet32" and 0.98 < found.share < 1
    assert likely({"encoder.0.weight": (3, 3)}) is None
    assert likely({}) is None


@pytest.mark.parametrize(
    ("stored", "expected", "classes"),
    [
        ({"fc.weight": (5, 8), "fc.bias": (5,)}, {"fc.weight": (10, 8), "fc.bias": (10,)}, (5, 10)),
        ({"fc.weight": (5, 8)}, {"fc.weight": (5, 8)}, None),
        ({"fc.weight": (5, 9)}, {"fc.weight": (10, 8)}, None),
        ({"a": (5, 8), "b": (6,)}, {"a": (10, 8), "b": (10,)}, None),
        ({"a": ()}, {"a": (3,)}, None),
    ],
)
def test_other_classes(stored: Shapes, expected: Shapes, classes: tuple[int, int] | None) -> None:
    assert other_classes(stored, expected) == classes


def test_agreement() -> None:
    one: Shapes = {"a": (1,), "b": (2, 2), "n.num_batches_tracked": ()}
    assert agreement(one, one) == 1
    assert agreement(one, {"a": (1,), "b": (2, 3)}) == 0.5
    assert agreement(one, {"c": (1,)}) == 0
    assert agreement({}, {}) == 0
