"""Start-up: `import arithmos` and `arithmos --help` in fresh processes, and whether torch was loaded."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from record import in_child, record

IMPORT = "import json, sys, time; t = time.perf_counter(); import arithmos; s = time.perf_counter() - t; "
IMPORT += "print(json.dumps({'s': s, 'torch': 'torch' in sys.modules}))"


def main(quick: bool = False) -> dict[str, Any]:
    """Seconds of each, median of 5 (quick: 2)."""
    n = 2 if quick else 5
    imports = [in_child(IMPORT) for _ in range(n)]
    helps = []
    for _ in range(n):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "arithmos", "--help"], check=True, capture_output=True)
        helps.append(time.perf_counter() - start)
    return record(
        "startup",
        {
            "import_s": round(statistics.median(r["s"] for r in imports), 4),
            "help_s": round(statistics.median(helps), 3),
            "torch_loaded": any(r["torch"] for r in imports),
        },
    )


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
