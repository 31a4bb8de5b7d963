"""One self-contained HTML page about a bundle, with the PNG and the CSV of every figure beside it."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.ir.bootstraps import Bootstraps, LevelBudget, bootstraps
from arithmos.ir.cost import cost
from arithmos.ir.depth import depth
from arithmos.ir.graph import Graph
from arithmos.ir.show import COLUMNS, as_mermaid, rows
from arithmos.report.canvas import THEMES
from arithmos.report.figure import Figure, as_csv
from arithmos.report.figures import figures
from arithmos.report.plots import png
from arithmos.report.polynomial_figures import network_figures
from arithmos.report.references import polynomial_references, references

PAGE_FILE = "index.html"
SECTIONS = ("accuracy", "verification", "proof", "deviation", "settings", "attribution", "allocation")
"""Of report.json: what a page shows where it is there."""

BUDGET = LevelBudget()

Pictures = Mapping[str, Mapping[str, bytes]]
"""name of a figure -> theme -> PNG."""


def write_page(folder: Path, net: Graph, facts: Mapping[str, Any], *, recipe: str = "") -> Path:
    """Write index.html, and figures/NAME.png and NAME.csv, into an existing folder; returns the page's path.

    net: an integer or a polynomial network; facts: its report.json, in which every section may be missing; recipe: its
    recipe.toml. Raises MissingTool where jinja2 or matplotlib is not installed.
    """
    shown = network_figures(net, facts) if net.op_set == "poly" else figures(net, facts)
    return put(folder, shown, lambda pictures: render(net, facts, shown, pictures, recipe))


def put(folder: Path, shown: list[Figure], text: Callable[[Pictures], str], ready: Pictures | None = None) -> Path:
    """Draw the figures, and write them and the page into an existing folder.

    text: pictures -> the page; ready: pictures of figures that are drawn already.
    """
    drawn = {f.name: {theme: png(f, theme) for theme in THEMES} for f in shown if f.name not in (ready or {})}
    pictures = {**drawn, **(ready or {})}
    beside = folder / "figures"
    beside.mkdir()
    for figure in shown:
        (beside / f"{figure.name}.csv").write_text(as_csv(figure))
        (beside / f"{figure.name}.png").write_bytes(pictures[figure.name]["light"])
    page = folder / PAGE_FILE
    page.write_text(text(pictures), encoding="utf-8")
    return page


def render(net: Graph, facts: Mapping[str, Any], shown: list[Figure], pictures: Pictures, recipe: str) -> str:
    """The text of a network's page."""
    total, fields = cost(net), tomllib.loads(recipe)
    if net.op_set == "poly":
        template, works = "polynomials.html", polynomial_references(fields)
    else:
        data = facts.get("origin", {}).get("data_source", "")
        template, works = "page.html", references(fields, has_accuracy="accuracy" in facts, data=data)
    return filled(
        template,
        shown,
        pictures,
        facts,
        **{section: facts.get(section) for section in SECTIONS},
        layers=facts.get("layers", []),
        fit=facts.get("fit"),
        total=total,
        depth=depth(net),
        budget=BUDGET,
        refreshed=_refreshed(net),
        constant_bytes=sum(array.nbytes for array in net.constants.values()),
        nodes=[node for node in total.nodes if node.macs or node.table_entries],
        graph_columns=COLUMNS,
        graph_rows=rows(net),
        mermaid=as_mermaid(net),
        recipe=recipe,
        references=works,
    )


def filled(template: str, shown: list[Figure], pictures: Pictures, facts: Mapping[str, Any], **context: Any) -> str:
    """The text of a page: the template filled, pictures embedded; it refers to nothing outside itself.

    facts: `name`, and `origin`, `steps`, `environment` where they are known. context: what the template asks for.
    """
    jinja = require("jinja2", "report")
    environment = jinja.Environment(
        loader=jinja.FunctionLoader(lambda name: files("arithmos.report").joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja.StrictUndefined,
    )
    text: str = environment.get_template(template).render(
        facts=facts,
        origin=facts.get("origin", {}),
        steps=facts.get("steps", []),
        environment=facts.get("environment", {}),
        figures={figure.name: figure for figure in shown},
        embedded={name: {theme: _data_uri(data) for theme, data in both.items()} for name, both in pictures.items()},
        **({"graph_rows": [], "recipe": ""} | context),
    )
    return text


def _refreshed(net: Graph) -> Bootstraps | None:
    """The bootstraps of a usual chain of levels; None where a polynomial alone takes more than it has."""
    with suppress(UsageError):
        return bootstraps(net, BUDGET)
    return None


def _data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
