"""The architectures of torchvision, held against facts recorded from torchvision 0.28: tensors, counts, logits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from arithmos.models.registry import build, entry, names

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
from models.deterministic import fill  # noqa: E402

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tensors"
FACTS = json.loads((GOLDEN / "torchvision.json").read_text())
READABLE = sorted(path.stem for path in GOLDEN.glob("*.txt"))

# Two pictures of 10 classes; the first three of the logits of a network filled by `fill`, in float64.
LOGITS = {
    ("resnet18", 64): (13.987984377, 62.215455666, -75.00584614),
    ("resnet50", 64): (-8873.459544872, -4722.545323617, 19693.667350979),
    ("googlenet", 65): (-1.441566369, -13.792293591, 13.159664426),
    ("inception_v3", 76): (1.878736047, -1.353348235, 1.752186826),
}
TRANSFORMED = {
    ("googlenet", 65): (-1.018277104, -6.227249104, 5.586575256),
    ("inception_v3", 76): (0.893680216, -0.358841732, 0.690681896),
}
TRAINING = {
    ("googlenet", 65): (
        (0.378896007, -0.704432678, -0.872580738),
        (2.31379443, -0.723692356, -1.067460862),
        (0.07205674, -0.18914617, -0.533998648),
    ),
    ("inception_v3", 299): ((-0.108098716, -0.812721848, 1.013598337), (-2.137063994, 1.290011244, 0.260433699)),
}


def tensors(name: str) -> list[str]:
    """ "conv1.weight 64x3x7x7" of every tensor, sorted."""
    with torch.device("meta"):
        state = build(name).state_dict()
    return sorted(f"{key} {'x'.join(map(str, tensor.shape))}" for key, tensor in state.items())


def pictures(n: int, size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).standard_normal((n, 3, size, size)))


def assert_first(logits: torch.Tensor, expected: tuple[float, ...], rtol: float = 1e-8) -> None:
    np.testing.assert_allclose(logits.detach().flatten()[:3].numpy(), expected, rtol=rtol)


@pytest.mark.parametrize("name", FACTS)
def test_tensors_are_those_of_the_published_weights(name: str) -> None:
    found = tensors(name)
    assert len(found) == FACTS[name]["tensors"]
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == FACTS[name]["sha256"]


@pytest.mark.parametrize("name", READABLE)
def test_tensors_in_readable_form(name: str) -> None:
    assert tensors(name) == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_every_network_for_imagenet_is_recorded() -> None:
    assert set(FACTS) == {name for name in names() if entry(name).dataset == "imagenet"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), LOGITS)
def test_logits(name: str, size: int) -> None:
    model = fill(build(name, classes=10).double())
    with torch.inference_mode():
        assert_first(model(pictures(2, size)), LOGITS[name, size])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), TRANSFORMED)
def test_logits_of_transformed_pictures(name: str, size: int) -> None:
    model = fill(build(name, classes=10, transform_input=True).double())
    with torch.inference_mode():
        assert_first(model(pictures(2, size)), TRANSFORMED[name, size])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), TRAINING)
def test_logits_of_every_head_in_training(name: str, size: int) -> None:
    model = fill(build(name, classes=10).double()).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        found = model(pictures(2, size))
    assert len(found) == len(TRAINING[name, size])
    for logits, expected in zip(found, TRAINING[name, size], strict=True):
        assert_first(logits, expected, rtol=1e-7)


@pytest.mark.slow
def test_logits_of_vgg11_bn() -> None:
    model = fill(build("vgg11_bn", classes=10))
    with torch.inference_mode():
        assert_first(model(pictures(1, 48).float()), (-10.02458477, 8.758502007, -18.44975853), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "n_parameters"), [("googlenet", 33, 6_624_904), ("inception_v3", 75, 23_834_568)]
)
def test_auxiliary_heads_are_for_training_alone(name: str, size: int, n_parameters: int) -> None:
    with torch.device("meta"):
        plain = build(name, auxiliary=False)
        whole = build(name)
        images = torch.empty(2, 3, size, size)
        assert sum(p.numel() for p in plain.parameters()) == n_parameters
        assert whole(images).shape == plain.train()(images).shape == (2, 1000)
    assert all(key in plain.state_dict() or key.startswith(whole.training_only) for key in whole.state_dict())


def test_pictures_too_small_for_the_auxiliary_head_are_trained_without_it() -> None:
    with torch.device("meta"):
        assert build("inception_v3").train()(torch.empty(2, 3, 96, 96)).shape == (2, 1000)
