"""Write an integer graph as model.onnx, with a manifest for programs and a page for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arithmos.ir.graph import Graph
from arithmos.targets import onnx_file
from arithmos.targets.onnx.model import build
from arithmos.targets.onnx_file import Model

EXTERNAL_BYTES = 1 << 30
"""More weights than this are written beside the model instead of into it."""

_README = """# An exact integer network in ONNX

`{model}` computes integers only: every value that leaves it is the integer that the arithmos interpreter
computes, on every processor, with every number of threads and every optimization level of ONNX Runtime.

Inside, integers travel as float32 (up to 2^24), float64 (up to 2^53) or int64. Each choice follows from the
proven range of the value, partial sums in any order included, so no rounding ever happens except where the
network itself says so: `floor((x * mul + half) / 2^shift)`.

Run it:

    import onnxruntime
    session = onnxruntime.InferenceSession("{model}")
    outputs = session.run(None, {{{feeds}}})

A real number is an integer times its scale: {{"exponent": e}} is 2^e, {{"mul": m, "shift": s}} is m / 2^s.
The same facts are in `manifest.json` and in the model's metadata (`arithmos.digest`, `arithmos.inputs`,
`arithmos.outputs`, `arithmos.values`).

Network {digest}

{table}
"""


def export(graph: Graph, folder: Path, *, every: bool = False, external_bytes: int = EXTERNAL_BYTES) -> None:
    """Write model.onnx, manifest.json and README.md into an existing folder.

    every: all named values become outputs, after the network's own. external_bytes: more weights than this go to
    model.onnx.data. Raises MissingTool without onnx; onnx's checker has passed when this returns.
    """
    model = build(graph, every)
    onnx_file.write(model, folder / onnx_file.MODEL_FILE, external_bytes)
    manifest = {key.removeprefix("arithmos."): item for key, item in model.metadata.items()}
    manifest |= {"schema": 1, "opset": onnx_file.OPSET, "model": onnx_file.MODEL_FILE}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").write_text(_readme(model))


def _readme(model: Model) -> str:
    meta = model.metadata
    feeds = ", ".join(f'"{port.tensor}": array_of_{port.dtype}' for port in model.inputs)
    rows: list[tuple[str, ...]] = [("tensor", "what", "type", "shape", "range", "scale")]
    rows += [_row("input", facts) for facts in meta["arithmos.inputs"]]
    rows += [_row("output", facts) for facts in meta["arithmos.outputs"]]
    rows += [_row("value", facts) for facts in meta["arithmos.values"]]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return _README.format(
        model=onnx_file.MODEL_FILE, feeds=feeds, digest=meta["arithmos.digest"], table="\n".join(lines)
    )


def _row(what: str, facts: dict[str, Any]) -> tuple[str, ...]:
    scale = "" if facts["scale"] is None else json.dumps(facts["scale"])
    scale = f"{len(facts['scale']['scales'])} scales" if "scales" in scale else scale
    lo, hi = facts["range"]
    return (f"`{facts['tensor']}`", what, facts["dtype"], facts["shape"], f"[{lo}, {hi}]", scale)
