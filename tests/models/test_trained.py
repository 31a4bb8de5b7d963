"""The published CIFAR-10 weights, on the first 500 images of the official test set."""

from __future__ import annotations

from pathlib import Path

import pytest

from arithmos.models.registry import build, entry
from arithmos.models.weights import load_weights
from arithmos.train.data.datasets import stream
from arithmos.train.loop import accuracy

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("pyarrow", reason='pip install "arithmos[data]"')


@pytest.mark.parametrize(
    ("name", "n_right"), [("resnet20", 455), pytest.param("resnet32", 466, marks=pytest.mark.slow)]
)
def test_float_accuracy(data_dir: Path, name: str, n_right: int) -> None:
    model = load_weights(build(name), data_dir / "weights" / f"cifar10-{name}.safetensors")
    images = stream("cifar10", "test", data_dir, preparation=entry(name).preparation)
    # Two images may change sides with the order of a machine's float sums.
    assert abs(round(500 * accuracy(model, images)) - n_right) <= 2
