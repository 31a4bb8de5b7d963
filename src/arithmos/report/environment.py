"""What a result was measured with: Python, packages, processor, compiler, accelerator; and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from arithmos import __version__, native, settings
from arithmos.errors import ArithmosError
from arithmos.extras import require
from arithmos.targets.ezkl.tool import INSTALL

VECTOR_FLAGS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
"""Features of processors that decide how fast integer kernels are."""

PACKAGES: dict[str, str] = {
    "numpy": "",
    "safetensors": "",
    "click": "",
    "rich": "",
    "tomlkit": "",
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "pyarrow": "data",
    "pillow": "data",
    "scikit-learn": "data",
    "jinja2": "report",
    "matplotlib": "report",
    "lightning-fabric": "train",
    "tensorboardX": "train",
    "groth16py": "groth16",
}
"""package -> the extra that installs it, "" for the base."""


@dataclass(frozen=True, slots=True)
class Ability:
    """Something arithmos can do here or cannot: what it gives, whether it works, and the command that makes it work."""

    name: str
    gives: str
    works: bool
    fix: str


def environment() -> dict[str, Any]:
    """Versions and machine as one JSON document; nothing of the user's files or name."""
    return {
        "arithmos": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": _memory_gb(),
        "vector_flags": [flag for flag in VECTOR_FLAGS if flag in native.cpu_flags()],
        "packages": {name: installed(name) for name in PACKAGES},
    }


def installed(package: str) -> str | None:
    """The installed version of a package, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def abilities() -> list[Ability]:
    """What works on this machine: the extras, the C compiler, the accelerator."""
    extras: dict[str, list[str]] = {}
    for package, extra in PACKAGES.items():
        extras.setdefault(extra, []).append(package)
    rows = [
        Ability(
            extra or "base",
            GIVES[extra],
            all(installed(p) for p in packages),
            f'pip install "arithmos{f"[{extra}]" * bool(extra)}"',
        )
        for extra, packages in extras.items()
    ]
    return [*rows, _compiler(), _accelerator(), *(_other(name) for name in OTHERS)]


GIVES = {
    "": "interpreter, bundles, command line",
    "torch": "trace and quantize PyTorch networks",
    "onnx": "target onnx",
    "data": "data sets and pictures as inputs",
    "report": "HTML page and plots",
    "train": "training on several devices, TensorBoard files",
    "groth16": "proofs in zero knowledge, and their verification",
}


OTHERS: dict[str, tuple[str, str, Callable[[str], str | None]]] = {
    "snarkjs": ("keys of a ceremony for proofs", "npm install -g snarkjs@0.7.6", shutil.which),
    "ezkl": ("proofs of what target ezkl writes", INSTALL, installed),
}
"""Tools of others that no extra installs: what each gives, the command that installs it, and what finds it."""


def _other(name: str) -> Ability:
    gives, command, find = OTHERS[name]
    found = find(name)
    return Ability(name + (f" ({found})" if found else ""), gives, found is not None, f"optional: {command}")


def _compiler() -> Ability:
    gives = "fast kernels of target engine, target c"
    try:
        path = settings.tool("cc")
    except ArithmosError as error:
        return Ability("C compiler", gives, False, error.fix)
    works = path is not None and native.available("c")
    return Ability(
        "C compiler" + (f" ({path})" if path else ""),
        gives,
        works,
        "apt-get install gcc libc6-dev, or set ARITHMOS_CC to a compiler",
    )


def _accelerator() -> Ability:
    name = ""
    with suppress(ArithmosError):
        cuda = require("torch", "torch").cuda
        name = str(cuda.get_device_name()) if cuda.is_available() else ""
    fix = "optional: a CUDA device and a CUDA build of PyTorch"
    return Ability("GPU" + (f" ({name})" if name else ""), "target engine on the GPU", bool(name), fix)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory_gb() -> float | None:
    if sys.platform == "win32":
        return None
    with suppress(ValueError, OSError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return None
