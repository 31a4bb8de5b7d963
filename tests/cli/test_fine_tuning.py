"""approximate --fine-tune: a network trained with its polynomials in place, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')

import arithmos as ar  # noqa: E402
from arithmos.models.registry import entry  # noqa: E402
from arithmos.train.data.datasets import load  # noqa: E402
from cli.refusals import refused  # noqa: E402
from cli.test_approximate import DIGITS, weights  # noqa: E402, F401

CHEAP = ("--method", "minimax", "--degrees", "4", "--margin", "1.5")


@pytest.mark.slow
def test_a_network_is_trained_with_its_polynomials(arithmos: Any, weights: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "net"
    training = ("--fine-tune", "--epochs", "3", "--learning-rate", "0.003")
    result = arithmos("approximate", *DIGITS, *CHEAP, "--weights", weights, *training, "-o", out)
    assert result.exit_code == 0, result.stderr
    facts, net = json.loads((out / "report.json").read_text()), ar.load(out)
    found = facts["fine_tuning"]
    assert [epoch["epoch"] for epoch in found["history"]] == [1, 2, 3]
    assert found["loss"] == "cross entropy" and found["data"] == "1,348 training images"
    assert found["config"]["epochs"] == 3 and found["config"]["learning_rate"] == 0.003
    top1 = facts["deviation"]["approximate"]["top1_percent"]
    assert top1 > facts["deviation"]["exact"]["top1_percent"] + 50, "the weights were not trained before"
    assert top1 == pytest.approx(100 * found["history"][-1]["accuracy"], abs=1e-3), "of the network that was trained"
    assert "fine-tuned: 3 epochs on 1,348 training images, cross entropy; loss " in result.stdout
    assert net.op_set == "poly"
    images, labels = load("digits", "test", limit=60, preparation=entry("digits_cnn").preparation)
    assert 100 * float((ar.run(net, images).argmax(axis=1) == labels).mean()) == pytest.approx(top1, abs=1e-3)


REFUSED = {
    "--epochs 2 --distill": (
        "error: --epochs, --distill would do nothing\n"
        "  why  it belongs to the training of a network with its polynomials\n"
        "  fix  add --fine-tune, or leave it out\n"
    ),
    "--fine-tune --sweep-alpha 5-6": (
        "error: the network cannot be fine-tuned\n"
        "  why  --sweep-alpha compares networks that are not trained\n"
        "  fix  leave it or --fine-tune out\n"
    ),
    "--fine-tune --attribution 4": (
        "error: the network cannot be fine-tuned\n"
        "  why  --attribution compares with the exact network, whose weights change\n"
        "  fix  leave it out\n"
    ),
    "--fine-tune --calibration-split test": (
        "error: the network cannot be fine-tuned\n"
        "  why  --calibration-split test is for data sets that have nothing else\n"
        "  fix  leave it out\n"
    ),
}


@pytest.mark.parametrize("more", REFUSED)
def test_what_would_do_nothing_or_does_not_go_together(
    arithmos: Any,
    weights: Path,  # noqa: F811
    tmp_path: Path,
    more: str,
) -> None:
    command = f"approximate {' '.join(DIGITS)} --weights {weights} -o {tmp_path / 'net'} {more}"
    refused(arithmos, tmp_path, 2, command, REFUSED[more])
