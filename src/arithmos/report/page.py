"""One self-contained HTML page about a bundle, with the PNG and the CSV of every figure beside it."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from arithmos.extras import require
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.ir.show import COLUMNS, as_mermaid, rows
from arithmos.report.figures import Figure, as_csv, figures
from arithmos.report.plots import THEMES, png
from arithmos.report.references import references

PAGE_FILE = "index.html"


def write_page(folder: Path, net: Graph, facts: Mapping[str, Any], *, recipe: str = "") -> Path:
    """Write index.html, and figures/NAME.png and NAME.csv, into an existing folder; returns the page's path.

    net: the integer network; facts: its report.json, in which every section may be missing; recipe: its recipe.toml.
    Raises MissingTool where jinja2 or matplotlib is not installed.
    """
    shown = figures(net, facts)
    pictures = {figure.name: {theme: png(figure, theme) for theme in THEMES} for figure in shown}
    beside = folder / "figures"
    beside.mkdir()
    for figure in shown:
        (beside / f"{figure.name}.csv").write_text(as_csv(figure))
        (beside / f"{figure.name}.png").write_bytes(pictures[figure.name]["light"])
    page = folder / PAGE_FILE
    page.write_text(render(net, facts, shown, pictures, recipe), encoding="utf-8")
    return page


def render(
    net: Graph, facts: Mapping[str, Any], shown: list[Figure], pictures: Mapping[str, Mapping[str, bytes]], recipe: str
) -> str:
    """The page's text: the template filled with the facts, pictures embedded; it refers to nothing outside itself."""
    jinja = require("jinja2", "report")
    source = files("arithmos.report").joinpath("page.html").read_text(encoding="utf-8")
    template = jinja.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined
    ).from_string(source)
    total = cost(net)
    text: str = template.render(
        facts=facts,
        layers=facts.get("layers", []),
        accuracy=facts.get("accuracy"),
        verification=facts.get("verification"),
        origin=facts.get("origin", {}),
        steps=facts.get("steps", []),
        environment=facts.get("environment", {}),
        figures={figure.name: figure for figure in shown},
        embedded={name: {theme: _data_uri(data) for theme, data in both.items()} for name, both in pictures.items()},
        total=total,
        constant_bytes=sum(array.nbytes for array in net.constants.values()),
        nodes=[node for node in total.nodes if node.macs or node.table_entries],
        graph_columns=COLUMNS,
        graph_rows=rows(net),
        mermaid=as_mermaid(net),
        recipe=recipe,
        references=references(
            tomllib.loads(recipe), has_accuracy="accuracy" in facts, data=facts.get("origin", {}).get("data_source", "")
        ),
    )
    return text


def _data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
