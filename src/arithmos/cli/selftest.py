"""The exported C program built by the system compiler as its Makefile does, and run on its golden samples."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from arithmos import settings
from arithmos.errors import CompileError, VerificationError

FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def self_test(folder: Path, name: str = "network") -> str:
    """Build and run the program in a folder that `export --target c` wrote; returns one line about both.

    Raises CompileError where the compiler refuses it, VerificationError where an output differs from the interpreter's.
    """
    compiler = settings.tool("cc")
    assert compiler is not None, "target c was compared before, with this compiler"
    start = time.perf_counter()
    command = [str(compiler), *FLAGS, "main.c", f"{name}.c", "-o", name]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if built.returncode:
        raise CompileError(
            "the compiler refuses the exported program",
            why=built.stderr.strip(),
            fix="set ARITHMOS_CC to another compiler",
        )
    seconds = time.perf_counter() - start
    ran = subprocess.run([str(folder / name), "--self-test"], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise VerificationError(
            "the exported program fails its self-test",
            why=ran.stdout.strip() or ran.stderr.strip(),
            fix="report it with the folder: equal integers are what arithmos promises",
        )
    return f"built in {seconds:.1f} s with {' '.join(FLAGS)}; {ran.stdout.strip()}"
