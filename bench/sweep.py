"""The published sweep of ResNet-20, 8 bit widths by 21 scalars: how long it takes, killed at random moments or not."""

from __future__ import annotations

import csv
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from arithmos.sweep.columns import NAMES, TIMES
from record import ROOT, data_dir, record

GRID = ("bits=1-8", "scalar=1.0:2.0:0.05")
QUICK = ("bits=2,4", "scalar=1.0:1.2:0.1")
PART = ("bits=2", "scalar=1.0:2.0:0.05")
"""What is killed and resumed: its rows must be those of the whole."""


def command(out: Path, grid: tuple[str, ...], n: int) -> list[str]:
    """The sweep as published: one step a layer, 2**b + 1 levels, activations float; all windows."""
    weights, images = data_dir("weights/cifar10-resnet20.safetensors"), data_dir("cifar10")
    fixed = ["--method", "gpfq", "--levels", "published", "--error-correction", "weights", "--n-calibration", str(n)]
    wish = ["sweep", str(weights), "--model", "resnet20", "--data-dir", str(images), *fixed, "--grid", *grid]
    return [sys.executable, "-m", "arithmos", *wish, "-o", str(out), "--quiet"]


def whole(out: Path, grid: tuple[str, ...], n: int) -> dict[str, float]:
    """Run it to its end: wall seconds, and processor seconds of all its processes."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command(out, grid, n), check=True, stdout=subprocess.DEVNULL)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - begun, 1), "cpu_s": round(cpu, 1)}


def killed(out: Path, grid: tuple[str, ...], n: int, wall_s: float, times: int) -> int:
    """Run it again with a kill -9 of all its processes at random moments, then to its end: rows at the last kill."""
    kept, rng = 0, random.Random(0)
    for _ in range(times):
        process = subprocess.Popen(command(out, grid, n), start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.2, 0.6) * wall_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        runs = out / "runs.jsonl"
        kept = len(runs.read_text().splitlines()) if runs.exists() else 0
    subprocess.run(command(out, grid, n), check=True, stdout=subprocess.DEVNULL)
    return kept


def rows_of(out: Path) -> list[dict[str, str]]:
    """The table."""
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lasting(out: Path) -> list[tuple[str, ...]]:
    """The table without the columns that differ when a run is made again, in the order of the digests."""
    return sorted(tuple(row[name] for name in NAMES if name not in TIMES) for row in rows_of(out))


def show(out: Path) -> None:
    """The table and its pictures into the documents, without the images of the data set, which are not ours."""
    shutil.copy(out / "results.csv", ROOT / "docs" / "few-bits-sweep.csv")
    for path in (out / "figures").glob("*.png"):
        if path.stem != "data":
            shutil.copy(path, ROOT / "docs" / "images" / f"few-bits-{path.name}")


def best_of(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Bits -> the best scalar and its top-1 in per cent, with the other scalars' range."""
    found: dict[str, Any] = {}
    for bits in sorted({row["Bits"] for row in rows}, key=int):
        alike = [row for row in rows if row["Bits"] == bits]
        ranked = sorted(alike, key=lambda row: -float(row["Quantized Top1 Accuracy"]))
        accuracies = [round(100 * float(row["Quantized Top1 Accuracy"]), 2) for row in ranked]
        found[bits] = {
            "scalar": float(ranked[0]["CNN_Alphabet_Scalar"]),
            "top1": accuracies[0],
            "worst": accuracies[-1],
            "levels": round(2 ** float(ranked[0]["Bits per Weight"])),
        }
    return found


def main(quick: bool = False) -> dict[str, Any]:
    """168 runs on 512 training images, 500 test images (quick: 6 runs on 64)."""
    if data_dir("cifar10") is None or data_dir("weights/cifar10-resnet20.safetensors") is None:
        return {}
    grid, n = (QUICK, 64) if quick else (GRID, 512)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = whole(folder / "whole", grid, n)
        rows = rows_of(folder / "whole")
        assert all(row["Status"] == "done" for row in rows), [row["Status"] for row in rows]
        figures |= {"runs": len(rows), "best": best_of(rows)}
        if not quick:
            show(folder / "whole")
        part, wall_s = (grid, figures["wall_s"]) if quick else (PART, figures["wall_s"] / 8)
        figures["rows_at_the_last_kill"] = killed(folder / "killed", part, n, wall_s, 1 if quick else 2)
        again = lasting(folder / "killed")
        figures["rows_compared"] = len(again)
        assert set(again) <= set(lasting(folder / "whole")) and len(again) == (len(rows) if quick else 21)
        figures["same_table_after_kills"] = True
    return record("sweep", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
