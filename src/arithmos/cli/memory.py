"""How many images fit: the memory that one takes in a network, measured, against what the machine has left."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.ir.graph import Graph, spent_after
from arithmos.targets.clear import prepared

AUTO = 128
"""Images of a batch where they fit: more are no faster."""
SHARE = 0.8
"""Of the available memory that a batch may take: images, their copies and the rest of the program need some too."""
N_MEASURED = 8
"""Images of the run that is measured; its fixed costs count too, so that the figure is rather too large."""

_CGROUP = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def batch_for(asked: int | None, graph: Graph, structure: Graph, sample: Any, *, device: str = "cpu") -> int:
    """The batch size: the one asked for, or for None the largest up to AUTO that fits.

    graph: the exact network; structure: the approximate one, or its shape; sample: {input: one image}. Raises
    UsageError with the size that would fit where the one asked for does not.
    """
    each, available = bytes_of_one(graph, structure, sample, device), available_bytes(device)
    fitting = int(SHARE * available // each)
    if fitting < (asked or 1):
        raise UsageError(
            f"a batch of {asked or 1:,} images does not fit into the memory",
            why=f"an image takes {each / 1e6:,.1f} MB in it, of {available / 1e6:,.0f} MB available on {device}",
            fix=f"give --batch-size {fitting}, or auto"
            if fitting
            else "use a machine of more memory, or smaller pictures",
        )
    return asked or min(AUTO, fitting)


def bytes_of_one(graph: Graph, structure: Graph, sample: Any, device: str) -> int:
    """Bytes that one more image of a batch takes: live values, and what running was measured to take beside them."""
    beside = 0
    if device == "cpu":
        beside = max(0, _peak(lambda: _run(graph, sample, N_MEASURED)) // N_MEASURED - live_bytes(graph))
    return max(live_bytes(graph), live_bytes(structure)) + beside


def live_bytes(graph: Graph) -> int:
    """The most bytes that values of one image take at once in float32: an operation's result and all still needed."""
    size = {
        name: 4 * abs(math.prod(value.shape)) for name, value in graph.values.items() if name not in graph.constants
    }
    spent = spent_after(graph, keep=graph.outputs)
    live, peak = {name: size[name] for name in graph.inputs}, 0
    for node in graph.nodes:
        live[node.output] = size[node.output]
        peak = max(peak, sum(live.values()))
        for name in spent[node.output]:
            live.pop(name, None)
    return peak


def available_bytes(device: str = "cpu") -> int:
    """Free memory of the device: of a GPU, or of the machine within the limit that its control group sets."""
    if device != "cpu":
        return int(require("torch", "torch").cuda.mem_get_info(device)[0])
    found = [int(line.split()[1]) << 10 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable")]
    for limit, usage in _CGROUP:
        numbers = [_lines(f"/sys/fs/cgroup/{name}")[:1] for name in (limit, usage)]
        if all(n and n[0].isdigit() for n in numbers):
            found.append(int(numbers[0][0]) - int(numbers[1][0]))
    return max(min(found, default=1 << 32), 1)


def _run(graph: Graph, sample: Any, n: int) -> None:
    prepared(graph).outputs({name: np.repeat(array, n, axis=0) for name, array in sample.items()})


def _peak(run: Callable[[], None]) -> int:
    """Bytes by which memory grew at most while it ran; 0 where the system does not say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
    except OSError:
        return 0
    before = _resident("VmRSS")
    run()
    return max(0, _resident("VmHWM") - before)


def _resident(key: str) -> int:
    return next((int(line.split()[1]) << 10 for line in _lines("/proc/self/status") if line.startswith(key)), 0)


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().split("\n")
    except OSError:
        return []
