"""What an approximation loses, as text for people and as facts: accuracy, agreement, levels, ranges."""

from __future__ import annotations

import math
from typing import Any

from arithmos.cli.output import table
from arithmos.evidence.deviation import Deviation, Scores, Span
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph

N_WIDEST = 5


def deviation_facts(found: Deviation) -> dict[str, Any]:
    """The comparison as JSON; percentages of the n images, null where there are no labels."""
    return {
        "images": found.n,
        "exact": _scores(found.exact, found.n),
        "approximate": _scores(found.approximate, found.n),
        "relative_percent": _rounded(found.relative_percent),
        "agreement_percent": round(100 * found.same / found.n, 4),
        "output_error_rms": _rounded(found.error_rms),
        "output_rms": _rounded(found.output_rms),
        "ranges": [
            {"polynomial": s.name, "source": s.source, "bound": s.bound, "lo": _rounded(s.lo), "hi": _rounded(s.hi)}
            for s in found.spans
        ],
        "raised": [
            {"polynomial": r.name, "image": r.image, "value": r.value, "before": r.before, "after": r.after}
            for r in found.raised
        ],
    }


def depth_facts(net: Graph) -> dict[str, Any]:
    """Levels and multiplications of the network and of each of its polynomials."""
    whole = depth(net)
    return {
        "levels": whole.levels,
        "activation_levels": whole.activation_levels,
        "multiplications": whole.multiplications,
        "polynomials": [
            {
                "polynomial": a.name,
                "degrees": list(a.degrees),
                "levels": a.levels,
                "multiplications": a.multiplications,
                "elements": a.elements,
            }
            for a in whole.activations
        ],
    }


def deviation_text(net: Graph, found: Deviation) -> str:
    """The table of a comparison, depth, the widest ranges, and the bounds that were raised."""
    rows = [
        (name, *_percents(scores, found.n))
        for name, scores in (("exact", found.exact), ("approximate", found.approximate))
        if scores
    ]
    parts = [table(("network", "top-1 %", "top-5 %"), rows)] if rows else []
    whole = depth(net)
    lines = [
        f"agreement   {100 * found.same / found.n:.2f} % of {found.n:,} images have the same class",
        f"difference  {_signed(found.relative_percent)} % of the exact top-1"
        if found.relative_percent is not None
        else "",
        f"outputs     {found.error_rms:.4g} rms off, of {found.output_rms:.4g} rms",
        _broken(found),
        f"depth       {whole.levels:,} levels, {whole.activation_levels:,} of them in {len(whole.activations)} "
        f"polynomials; {whole.multiplications:,} multiplications",
        _ranges(found.spans),
    ]
    parts.append("\n".join(line for line in lines if line))
    if found.raised:
        header = ("raised", "image", "value", "B before", "B after")
        parts.append(table(header, [(r.name, r.image, r.value, r.before, r.after) for r in found.raised]))
        parts.append("Batches before that of the image named ran with the smaller B.")
    return "\n\n".join(parts)


def _broken(found: Deviation) -> str:
    lost = found.n - found.approximate.finite if found.approximate else 0
    return f"not finite  the outputs of {lost:,} images, which count as wrong" if lost else ""


def _ranges(spans: tuple[Span, ...]) -> str:
    used = sorted((s for s in spans if s.share is not None), key=lambda s: -(s.share or 0))[:N_WIDEST]
    if not used:
        return "ranges      not checked: these polynomials have no interval"
    rows = [(s.name, f"{s.lo:.4g} to {s.hi:.4g}", f"{s.bound:.4g}", f"{100 * (s.share or 0):.0f} %") for s in used]
    return "\n" + table(("closest to its B", "seen", "B", "used"), rows)


def _scores(scores: Scores | None, n: int) -> dict[str, Any] | None:
    if scores is None:
        return None
    top1, top5 = _percents(scores, n)
    return {
        "top1": scores.top1,
        "top1_percent": round(top1, 4),
        "top5": scores.top5,
        "top5_percent": round(top5, 4),
        "finite": scores.finite,
    }


def _percents(scores: Scores, n: int) -> tuple[float, float]:
    return 100 * scores.top1 / n, 100 * scores.top5 / n


def _signed(x: float | None) -> str:
    return "" if x is None else f"{round(x, 2) + 0.0:+.2f}"


def _rounded(x: float | None) -> float | None:
    """Six digits; None for what is no number, which JSON does not have."""
    return None if x is None or not math.isfinite(x) else float(f"{x:.6g}")
