"""The peak of memory is that since it was started again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arithmos.sweep.peak_memory import peak_mib, restart_peak


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which counts it")
def test_the_peak_starts_again() -> None:
    restart_peak()
    before = peak_mib()
    assert before is not None
    np.ones(1 << 24).sum()  # 128 MiB
    after = peak_mib()
    assert after is not None and 100 < after - before < 400
    restart_peak()
    again = peak_mib()
    assert again is not None and again < after - 100
