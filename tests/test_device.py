"""Devices: what cannot be had is refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.device import find_device  # noqa: E402
from arithmos.errors import UsageError  # noqa: E402


def test_auto_is_the_cpu_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == "cpu"


def test_cuda_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UsageError) as caught:
        find_device("cuda")
    assert str(caught.value) == (
        "there is no CUDA device\n"
        "  why  this torch is built without CUDA\n"
        "  fix  give --device cpu, or install torch with CUDA as pytorch.org says"
    )


def test_more_cuda_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda", 2) == "cuda" and find_device("cuda:1") == "cuda:1"
    with pytest.raises(UsageError, match="there are 2 CUDA devices and not 3"):
        find_device("cuda", 3)
    with pytest.raises(UsageError, match="there are 2 CUDA devices and not 3"):
        find_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("gpu", 1, "there is no device 'gpu'"),
        ("meta", 1, "device 'meta' is not supported"),
        ("cuda:0", 2, "device cuda:0 is one device and not 2"),
    ],
)
def test_devices_that_are_none(name: str, n: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_device(name, n)
    assert caught.value.what == said
