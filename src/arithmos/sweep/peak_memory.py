"""The most memory that this process had at once, since it was last asked to start again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def restart_peak() -> None:
    """Let the peak start again at what is resident now, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float | None:
    """The peak of resident memory in MiB, mapped files that were read included; None where the system does not say."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().split("\n"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None
