"""How many images fit: live values counted by hand, the refusal with the size that would, and the system's word."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

import factories
from arithmos.cli import memory
from arithmos.cli.memory import AUTO, available_bytes, batch_for, bytes_of_one, live_bytes
from arithmos.errors import UsageError
from arithmos.ir.build import Builder

SAMPLE = {"x": np.zeros((1, 3, 12, 12), np.float32)}


def test_live_bytes_are_a_result_and_what_is_still_needed() -> None:
    builder = Builder("float")
    x = builder.input("x", (-1, 10))
    y = builder.add("relu", x, name="y")
    z = builder.add("relu", y, name="z")
    graph = builder.graph(builder.add("add", z, x, name="sum"))
    assert live_bytes(graph) == 4 * (10 + 10 + 10)  # x stays for the sum; y and z, then z and the sum
    chain = Builder("float")
    y = chain.add("relu", chain.input("x", (-1, 10)), name="y")
    assert live_bytes(chain.graph(chain.add("relu", y, name="z"))) == 4 * 20


def test_auto_is_what_fits_and_a_large_batch_is_told_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = factories.float_cnn()
    monkeypatch.setattr(memory, "bytes_of_one", lambda *_: 1_000_000)
    for available, size in ((1 << 40, AUTO), (10_000_000, 8)):
        monkeypatch.setattr(memory, "available_bytes", lambda device, available=available: available)
        assert batch_for(None, graph, graph, SAMPLE) == size
    assert batch_for(8, graph, graph, SAMPLE) == 8
    with pytest.raises(UsageError) as caught:
        batch_for(9, graph, graph, SAMPLE)
    assert str(caught.value) == (
        "a batch of 9 images does not fit into the memory\n"
        "  why  an image takes 1.0 MB in it, of 10 MB available on cpu\n"
        "  fix  give --batch-size 8, or auto"
    )
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1000)
    with pytest.raises(UsageError, match=r"a batch of 1 images does not fit(.|\n)*use a machine of more memory"):
        batch_for(None, graph, graph, SAMPLE)


def test_what_was_measured_holds_the_live_values() -> None:
    graph = factories.float_cnn()
    assert live_bytes(graph) <= bytes_of_one(graph, graph, SAMPLE, "cpu") < 1 << 30
    assert 1 << 20 < available_bytes() < 1 << 50


def test_the_limit_of_a_control_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": ["MemTotal: 9 kB", "MemAvailable: 5000 kB"]}
    monkeypatch.setattr(memory, "_lines", lambda file: files.get(file, []))
    assert available_bytes() == 5000 << 10
    files |= {"/sys/fs/cgroup/memory.max": ["3000000"], "/sys/fs/cgroup/memory.current": ["1000000"]}
    assert available_bytes() == 2_000_000
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert available_bytes() == 5000 << 10
