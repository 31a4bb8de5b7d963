"""The tables of docs/few-bits.md, from the recorded figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Table = Callable[[Sequence[str], Sequence[Sequence[object]]], str]
"""(header, rows) -> a Markdown table."""


def of_levels(figures: dict[str, Any], levels: str, table: Table) -> str:
    """Top-1 with float activations, method by method, a column for each number of bits."""
    rows = figures[levels]
    bits = sorted({int(b) for row in rows.values() for b in row})
    best = {b: max(row[str(b)]["top1"] for row in rows.values() if str(b) in row) for b in bits}
    cells = [[label, *(_top1(row, b, best[b]) for b in bits)] for label, row in rows.items()]
    return table(["method", *(f"{b} bit{'s' * (b > 1)}" for b in bits)], cells)


def integers(figures: dict[str, Any], table: Table) -> str:
    """W4A8 as integers: top-1, and what was compared."""
    found = figures["W4A8"]
    rows = [
        [runner, f"{found['agreement']['samples']}", f"{r['elements']:,}", "all equal" if r["equal"] else "DIFFER"]
        for runner, r in found["agreement"]["runners"].items()
    ]
    head = [
        f"runner (top-1 {found['top1']:.1f}, float {figures['float']:.1f})",
        "inputs",
        "integers compared",
        "result",
    ]
    return table(head, rows)


def sweep(figures: dict[str, Any], table: Table) -> str:
    """The best scalar of each width."""
    rows = [[b, r["levels"], f"{r['scalar']:g}", r["top1"], r["worst"]] for b, r in figures["best"].items()]
    return table(["bits", "levels", "best scalar", "its top-1", "top-1 of the worst"], rows)


def speed(figures: dict[str, Any], table: Table) -> str:
    """All forms of GPFQ, in processor seconds of one core."""
    rows = []
    for name, r in figures.items():
        seconds = [f"{r[f'{form}_cpu_s']:.2f}" for form in ("data", "columns", "arithmos", "solve")]
        ratios = [f"{r[key]:.0f}×" for key in ("times_cpu", "times_by_column_cpu", "times_solve_cpu")]
        rows.append([name, *seconds, *ratios, f"{r['other_integers']:.0f} of {r['integers']:,}"])
    forms = ["loop, vectors in rows", "loop, in columns", "arithmos, whole", "of Gram matrices: solve alone"]
    return table(["ResNet-20, 20 layers", *forms, "rows", "columns", "rows : solve", "other integers"], rows)


def brevitas(figures: dict[str, Any], table: Table) -> str:
    """The same network and images by both, in processor seconds of one core."""
    rows = []
    for step, other in (("maximum", "maximum"), ("mse", "mse"), ("hessian", "mse")):
        mine, theirs = figures[f"arithmos, {step}"], figures[f"brevitas, {other}"]
        solve = f"{mine['solve_cpu_s']:.2f}" if "solve_cpu_s" in mine else "–"
        ours = [f"{mine['cpu_s']:.1f}", solve, f"{mine['top1']:.1f}"]
        peer = [other, f"{theirs['cpu_s']:.1f}", f"{theirs['solve_cpu_s']:.1f}", f"{theirs['top1']:.1f}"]
        ratios = [f"{mine['times_whole']}×", f"{mine['times_solve']}×" if "times_solve" in mine else "–"]
        rows.append([step, *ours, *peer, *ratios])
    name = figures["peer"].replace("brevitas==", "Brevitas ")
    sides = [f"{side}{what}" for side in ("", f"{name}: ") for what in ("steps", "whole s", "solve s", "top-1")]
    return table([*sides, "whole", "solve"], rows)


def large(figures: dict[str, Any], table: Table) -> str:
    """Seconds and memory of large networks and layers."""
    rows = []
    for name, r in figures.items():
        what, _, method = name.partition(", ")
        size = [r["images"], r["layers"], f"{r['columns']:,}"]
        rows.append([what, method, *size, f"{r['cpu_s']:.0f}", f"{r['wall_s']:.0f}", f"{r['peak_mib'] / 1024:.1f}"])
    header = ["network or layer", "method", "images", "layers", "most columns", "processor s", "wall s", "peak GiB"]
    return table(header, rows)


def _top1(row: dict[str, Any], bits: int, best: float) -> str:
    if str(bits) not in row:
        return "–"
    top1 = f"{row[str(bits)]['top1']:.1f}"
    return f"**{top1}**" if row[str(bits)]["top1"] == best else top1
