"""ResNet-20 with composites of every alpha, by the command line: accuracy, agreement and deviation on real images."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from arithmos.cli.main import main as arithmos
from record import data_dir, record


def main(quick: bool = False) -> dict[str, Any]:
    """The document of the sweep without its environment; empty without the data."""
    folder, weights = data_dir("cifar10"), data_dir("weights/cifar10-resnet20.safetensors")
    if folder is None or weights is None:
        return {}
    with tempfile.TemporaryDirectory() as made:
        wish = ["approximate", "--model", "resnet20", "--weights", weights, "--data-dir", folder, "--B-search", "0.5"]
        sizes = ["--sweep-alpha", "7,10", "--n-calibration", "200", "--max-images", "50"] if quick else []
        done = CliRunner().invoke(
            arithmos, [str(w) for w in [*wish, "--sweep-alpha", "4-14", *sizes, "-o", f"{made}/sweep"]]
        )
        assert done.exit_code == 0, done.output
        found = json.loads((Path(made) / "sweep" / "sweep.json").read_text())
    figures = {key: found[key] for key in ("name", "origin", "exact", "rows", "steps")}
    return record("polynomial_sweep", figures) if not quick else figures


if __name__ == "__main__":
    print(main("--quick" in sys.argv))
