"""Put the recorded figures into the README: every table between `<!-- begin NAME -->` and `<!-- end NAME -->`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from record import RESULTS, ROOT


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def accuracy(figures: dict[str, Any]) -> str:
    """Top-1 of float and every recipe; a network that was not measured with a recipe has a dash."""
    recipes = list(dict.fromkeys(name for row in figures.values() for name in row if name not in ("images", "float")))
    rows = []
    for network, row in figures.items():
        cells = [f"{row[r]['top1']:.1f} ({-row[r]['loss']:+.1f})" if r in row else "–" for r in recipes]
        rows.append([network, row["images"], f"{row['float']:.1f}", *cells])
    return table(["network", "test images", "float", *recipes], rows)


def agreement(figures: dict[str, Any]) -> str:
    """Elements compared and equal, runner by runner."""
    rows = [
        [network, row["samples"], runner, r["values"], f"{r['elements']:,}", "all equal" if r["equal"] else "DIFFER"]
        for network, row in figures.items()
        for runner, r in row["runners"].items()
    ]
    return table(["network", "inputs", "runner", "values", "integers compared", "result"], rows)


def lowering(figures: dict[str, Any]) -> str:
    """Seconds and peak memory from module to integer network."""
    rows = [
        [name, r["images"], *(f"{r[step]:.1f}" for step in ("trace_s", "calibrate_s", "quantize_s")), r["peak_mib"]]
        for name, r in figures.items()
    ]
    return table(["network", "calibration images", "trace s", "calibrate s", "quantize s", "peak MiB"], rows)


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "accuracy": accuracy,
    "agreement": agreement,
    "lowering": lowering,
}


def main() -> None:
    """Rewrite the README's tables from bench/results; a figure without results keeps what stands there."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, render in TABLES.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            body = render(json.loads(path.read_text())["figures"])
            pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
            text = re.sub(pattern, lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text, flags=re.DOTALL)
    readme.write_text(text)


if __name__ == "__main__":
    main()
