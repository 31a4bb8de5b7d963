"""Devices: what cannot be had is refused, what is drawn depends on seed, epoch, step and rank alone."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.train.place import CPU, Place, half, moved, reseed, tuned  # noqa: E402


def test_draws_depend_on_the_step_and_nothing_else() -> None:
    with tuned(CPU):
        drawn = {}
        for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)]:
            reseed(*key, CPU)
            value = float(torch.rand(()))
            assert drawn.setdefault(key, value) == value
    assert len(set(drawn.values())) == 4


def test_pictures_get_their_channels_last_and_keep_their_values() -> None:
    images = torch.randn(2, 3, 4, 4)
    there = moved(images, CPU)
    assert there.is_contiguous(memory_format=torch.channels_last) and torch.equal(there, images)


def test_mixed_precision_is_bfloat16_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert half(CPU) is None
    assert half(Place("cpu", amp=True)) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert half(Place("cuda", amp=True)) is torch.float16
