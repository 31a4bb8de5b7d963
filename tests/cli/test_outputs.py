"""What quantize writes is whole or absent: where something is already, on a full disk, after an interruption."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.ir.codec import load  # noqa: E402
from arithmos.train.loop import threads  # noqa: E402
from cli.refusals import listing, refused  # noqa: E402

OWN = """
import os, signal, time, torch

class Interrupted(torch.nn.Linear):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
        return x

class Sleeps(torch.nn.Module):
    def forward(self, x):
        time.sleep(60)
        return x

def interrupted():
    return Interrupted(4, 3)

def plain():
    return torch.nn.Linear(4, 3)

def large():
    return torch.nn.Linear(4, 20000)
"""
QUANTIZE = "quantize --example 1x4 --calibration x.npy -o deep/out --model own.py:"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("own.py").write_text(OWN)
    np.save("x.npy", np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32))
    with threads(1):
        yield tmp_path


def test_a_directory_that_exists_is_kept_and_replaced_on_request(arithmos: Any, here: Path) -> None:
    assert arithmos(*f"{QUANTIZE}plain".split()).exit_code == 0
    refused(
        arithmos,
        here,
        2,
        f"{QUANTIZE}plain --weight-bits 4",
        "error: deep/out exists\n  why  a directory is replaced only on request\n",
        "  fix  give --force (in Python: force=True) to replace it, or name another directory\n",
    )
    before = listing(here)
    assert arithmos(*f"{QUANTIZE}plain --weight-bits 4 --force".split()).exit_code == 0
    after = listing(here)
    assert before.keys() == after.keys() and before["deep/out/recipe.toml"] != after["deep/out/recipe.toml"]
    assert load("deep/out").outputs


@contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """What a full disk is to a program: writing fails half-way through a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk(arithmos: Any, here: Path, existed: bool) -> None:
    if existed:
        assert arithmos(*f"{QUANTIZE}plain".split()).exit_code == 0
    with files_of_at_most(1 << 16):
        refused(
            arithmos,
            here,
            2,
            f"{QUANTIZE}large --force",
            "error: cannot write out\n  at   {here}/deep/out\n  why  file too large; nothing was left behind\n",
            "  fix  free some space, or choose another place\n",
        )


@pytest.mark.parametrize("existed", [False, True])
def test_ctrl_c_half_way(arithmos: Any, here: Path, existed: bool) -> None:
    if existed:
        assert arithmos(*f"{QUANTIZE}plain".split()).exit_code == 0
    refused(arithmos, here, 130, f"{QUANTIZE}interrupted --force", "interrupted; nothing was left behind\n")


@pytest.mark.slow
def test_ctrl_c_in_a_process_of_its_own(here: Path) -> None:
    command = [sys.executable, "-m", "arithmos", *f"{QUANTIZE}Sleeps".split()]
    before = listing(here)
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if any((here / "deep").glob("*")):
            break  # the output is being prepared: the work has begun
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "interrupted; nothing was left behind" in stderr and "Traceback" not in stderr
    assert listing(here) == before
