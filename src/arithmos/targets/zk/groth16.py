"""groth16py as a tool in a process of its own: steps in, facts out, its failures as ours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from arithmos.errors import ArithmosError, MissingTool, UsageError

EXTRA = "groth16"
_KILLED = {-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV}
"""How a process ends that was refused memory: by the system, or by Rust, which aborts."""


class ProverOutOfMemory(ArithmosError):
    """The prover's process was refused memory."""


def run_steps(
    steps: Sequence[str], *, predicted: str = "", max_memory: int | None = None, **request: Any
) -> list[dict[str, Any]]:
    """Run the steps of groth16_process.py in one process; what each of them says: wall_s, cpu_s, peak_mb, …

    predicted: what the plan said of memory, for the report where there is too little. max_memory: bytes the process may
    have. Raises MissingTool, ProverOutOfMemory, UsageError for files the prover refuses.
    """
    program = str(files("arithmos.targets.zk").joinpath("groth16_process.py"))
    text = json.dumps({"steps": list(steps), "max_memory": max_memory, **{k: _plain(v) for k, v in request.items()}})
    done = _finished([sys.executable, "-I", program], text)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failure = next((line for line in said if "error" in line), None)
    if failure and failure["kind"] == "missing":
        raise MissingTool(
            "this needs groth16py", why="groth16py is not installed", fix='pip install "arithmos[groth16]"'
        )
    refused = failure and (failure["kind"] == "memory" or "out of memory" in failure["error"])
    if refused or (not failure and done.returncode in _KILLED) or "memory allocation" in done.stderr:
        step = failure["step"] if failure else steps[min(len(said), len(steps) - 1)]
        raise ProverOutOfMemory(
            f"the prover ran out of memory in '{step}'",
            why=predicted or "the circuit is too large for this machine",
            fix="use a machine with more memory, or a smaller network; --dry-run predicts the need",
        )
    if failure:
        raise UsageError(
            f"the prover refuses '{failure['step']}'",
            why=failure["error"],
            fix="check that key, circuit, witness and proof were written together",
        )
    if done.returncode or len(said) != len(steps):
        raise UsageError(
            "the prover stopped",
            why=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}",
            fix="check that key, circuit and witness were written together",
        )
    return said


def _finished(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    """The program run to its end; where we are interrupted, it is gone before we go on."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, errors = process.communicate(text)
        except BaseException:
            process.kill()
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | str | list) else str(value)
