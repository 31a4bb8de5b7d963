"""The pictures of docs/polynomials.md, from the shipped coefficients and bench/results; `python bench/readme.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arithmos.approx.sets import PUBLISHED, sign_set
from arithmos.report.figure import Figure
from arithmos.report.plots import png
from arithmos.report.polynomial_figures import attribution, curves, front, sweep, title
from record import ROOT

FOLDER = ROOT / "docs" / "images"
DPI = 96
ATTRIBUTED = "11"
"""The alpha whose layers are shown."""


def draw(recorded: Mapping[str, Any]) -> None:
    """Draw what there are results for. recorded: results file -> its figures."""
    shown: dict[str, Figure] = {"curves": curves(named())}
    if "polynomial_sweep" in recorded:
        shown["sweep"] = sweep(recorded["polynomial_sweep"])
    if "allocation" in recorded:
        network = recorded["allocation"]["resnet20"]
        shown["attribution"] = attribution(network["attribution"][ATTRIBUTED])
        shown["front"] = front(network["allocation"]["equal_levels_as_7,7"])
    for name, figure in shown.items():
        (FOLDER / f"polynomials-{name}.png").write_bytes(png(figure, dpi=DPI))


def named() -> dict[str, Any]:
    """Every shipped set without a constant."""
    found = {alpha: sign_set(alpha, offset=False) for alpha in PUBLISHED}
    return {f"alpha {alpha}: {title(composite)}": composite for alpha, composite in found.items()}
