"""groth16py as a tool in a process of its own: steps in, facts out, its failures as ours."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any

from arithmos.errors import ArithmosError, MissingTool, UsageError
from arithmos.targets.tool_process import run_program

EXTRA = "groth16"
_KILLED = {-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV}
"""How a process ends that was refused memory: by the system, or by Rust, which aborts."""


class ProverOutOfMemory(ArithmosError):
    """The prover's process was refused memory."""


def run_steps(steps: Sequence[str], *, predicted: str = "", **request: Any) -> list[dict[str, Any]]:
    """Run the steps of groth16_process.py in one process; what each of them says: wall_s, cpu_s, peak_mb, …

    predicted: what the plan said of memory, for the report where there is too little. Raises MissingTool,
    ProverOutOfMemory, UsageError for files the prover refuses.
    """
    text = json.dumps({"steps": list(steps), **{k: _plain(v) for k, v in request.items()}})
    ended = run_program("arithmos.targets.zk", "groth16_process.py", text=text)
    said, failure = ended.said, ended.failure
    if failure and failure["kind"] == "missing":
        raise MissingTool(
            "this needs groth16py", why="groth16py is not installed", fix='pip install "arithmos[groth16]"'
        )
    refused = failure and (failure["kind"] == "memory" or "out of memory" in failure["error"])
    if refused or (not failure and ended.code in _KILLED) or "memory allocation" in ended.errors:
        step = failure["step"] if failure else steps[min(len(said), len(steps) - 1)]
        raise ProverOutOfMemory(
            f"the prover ran out of memory in '{step}'",
            why=predicted or "the circuit is too large for this machine",
            fix="use a machine with more memory, or a smaller network; --dry-run predicts the need",
        )
    if failure:
        raise UsageError(
            f"the prover refuses '{failure['step']}'",
            where=str(request["zkey"]) if failure["step"] == "ceremony" else "",
            why=failure["error"],
            fix="check that key, circuit, witness and proof were written together",
        )
    if ended.code or len(said) != len(steps):
        raise UsageError(
            "the prover stopped",
            why=ended.last,
            fix="check that key, circuit and witness were written together",
        )
    return said


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | str | list) else str(value)
