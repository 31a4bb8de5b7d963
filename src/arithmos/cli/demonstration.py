"""The demonstration: every step of the project on a network that trains in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.cli.agreement import Agreement, agreement_of
from arithmos.cli.digit_proof import prove_digit
from arithmos.cli.output import table
from arithmos.cli.progress import Steps
from arithmos.cli.quantization import Made, make, save_bundle, summary
from arithmos.cli.samples import Samples
from arithmos.cli.selftest import self_test
from arithmos.cli.subject import Subject
from arithmos.evidence.dump import dump
from arithmos.extras import require
from arithmos.lower.recipe import Recipe, as_toml
from arithmos.models.registry import build, entry
from arithmos.report.page import write_page
from arithmos.targets.export import export
from arithmos.train.data.datasets import find
from arithmos.train.data.digits import digits
from arithmos.train.digits import train_digits

MODEL, TARGETS = "digits_cnn", ("engine", "onnx", "c")
N_CALIBRATION, N_GOLDEN = 256, 100
UNIFORM, CORNERS, TIES = 600, 200, 200


def demonstrate(folder: Path, steps: Steps, *, seed: int) -> Agreement:
    """Train, quantize, compare four runners, prove a digit; bundle, C, ONNX, dump, proof and page into an empty folder.

    A runner or prover whose tool is missing is named in the result and left out. Raises MissingTool without torch,
    scikit-learn, jinja2 or matplotlib, VerificationError for a proof that does not hold or holds for other values too.
    """
    images, labels = digits("test", seed=seed)
    made = _made(images, labels, steps, seed)
    given = {made.net.inputs[0]: images}
    found = agreement_of(
        made.net, given, TARGETS, steps, uniform=UNIFORM, corners=CORNERS, ties=TIES, mutants=2, seed=seed
    )
    with steps.step("save the bundle"):
        (folder / "net").mkdir()
        save_bundle(replace(made, facts={**made.facts, "verification": found.facts}), folder / "net")
    lines, skipped = [], {row["target"] for row in found.facts["rows"] if row["result"] == "skipped"}
    for target in ("onnx", "c"):
        if target not in skipped:
            with steps.step(f"export {target}"):
                options: dict[str, Any] = (
                    {"golden": {n: a[:N_GOLDEN] for n, a in given.items()}} if target == "c" else {}
                )
                export(made.net, target, folder / target, **options)
    if "c" not in skipped:
        with steps.step("compile and self-test C"):
            lines.append(f"C program: {self_test(folder / 'c')}")
    with steps.step("dump one image"):
        dump(made.net, images[:1], folder / "dump", target="engine")
    proof, proved = prove_digit(made.net, images[:1], folder, steps)
    facts = {**made.facts, "verification": found.facts, "steps": steps.facts()} | ({"proof": proved} if proved else {})
    with steps.step("page"):
        (folder / "page").mkdir()
        write_page(folder / "page", made.net, facts, recipe=as_toml(made.recipe))
    times = table(("step", "seconds", "peak MB"), [(s.step, s.wall_s, s.peak_mb) for s in steps.done])
    total = f"{sum(s.wall_s for s in steps.done):.1f} s in all"
    text = "\n\n".join([summary(made), "\n".join([found.text, *lines]), proof, times, total])
    return replace(found, text=text, facts={**facts, "steps": steps.facts()})


def _made(images: np.ndarray, labels: np.ndarray, steps: Steps, seed: int) -> Made:
    facts = entry(MODEL)
    with steps.step("train"), _one_thread():
        network = build(MODEL, seed=seed)
        train_digits(network, seed=seed)
    example = (np.zeros((1, *facts.input_shape), dtype=np.float32),)
    subject = Subject(MODEL, network, example, facts.dataset, facts.preparation, None)
    seen, _ = digits("train", seed=seed)
    origin: dict[str, Any] = {
        "calibration": f"{N_CALIBRATION} images of digits, train split",
        "evaluated_on": "digits, test split",
        "dataset": facts.dataset,
        "data_source": find(facts.dataset).source,
    }
    samples = Samples([seen[:N_CALIBRATION]], iter([(images, labels)]), origin)
    return make(subject, samples, Recipe(), steps, seed=seed)


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: with pictures this small, a second one only waits (3 s against 9 to 30 s)."""
    torch = require("torch", "torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
