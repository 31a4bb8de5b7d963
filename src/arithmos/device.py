"""Devices as torch spells them: cpu, cuda, cuda:1. What cannot be had is refused in words."""

from __future__ import annotations

from typing import Any

from arithmos.errors import UsageError
from arithmos.extras import require


def find_device(name: str, n_devices: int = 1) -> str:
    """The device that `name` means: "auto" is CUDA where there is one. Raises UsageError where it cannot be had."""
    torch = require("torch", "torch")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"there is no device '{name}'",
            why="devices are cpu, cuda and cuda:0, cuda:1 …",
            fix="choose one of these, or auto",
        ) from error
    if n_devices > 1 and wanted.index is not None:
        raise UsageError(
            f"device {name} is one device and not {n_devices}",
            why="--devices takes the first ones of a kind",
            fix="give --device cuda, or leave --devices out",
        )
    if wanted.type == "cuda":
        _check_cuda(torch, max(n_devices, (wanted.index or 0) + 1))
    elif wanted.type != "cpu":
        raise UsageError(
            f"device '{name}' is not supported",
            why="devices are cpu, cuda and cuda:0, cuda:1 …",
            fix="choose one of these, or auto",
        )
    return name


def _check_cuda(torch: Any, needed: int) -> None:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there == 0:
        raise UsageError(
            "there is no CUDA device",
            why="this torch is built without CUDA" if torch.version.cuda is None else "torch finds no usable driver",
            fix="give --device cpu, or install torch with CUDA as pytorch.org says",
        )
    if there < needed:
        raise UsageError(
            f"there are {there} CUDA devices and not {needed}",
            why="they are numbered from 0, and each process takes one",
            fix="give fewer, or a smaller number",
        )
