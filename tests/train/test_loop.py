"""Training: an interrupted run gives the bits of one that was not, and every mishap leaves the last good checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.errors import TrainingError, UsageError  # noqa: E402
from arithmos.train.config import Config, Optimizer, Schedule  # noqa: E402
from arithmos.train.loop import Result, accuracy, epochs, threads, train  # noqa: E402
from arithmos.train.memory import Arrays  # noqa: E402
from arithmos.train.place import Place  # noqa: E402
from arithmos.train.task import Epoch  # noqa: E402
from train.small import CONFIG, Small, data, interrupting, same, small, squares, stored, task  # noqa: E402

VARIANTS = {
    "sgd with everything": replace(CONFIG, mixup=0.4, label_smoothing=0.1),
    "adamw": replace(CONFIG, optimizer=Optimizer(optimizer="adamw", learning_rate=0.01, clip_norm=1.0)),
    "sgd without momentum": replace(CONFIG, optimizer=Optimizer(learning_rate=0.05, momentum=0, nesterov=False)),
    "steps": replace(CONFIG, schedule=Schedule(schedule="step")),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def outcomes(result: Result) -> list[tuple[float, ...]]:
    """What must be the same: all but the times."""
    return [(e.epoch, e.learning_rate, e.loss, e.accuracy) for e in result.history]


PLACES = {"within": (2, 3), "first step": (3, 1), "last step": (2, 5)}


@pytest.mark.parametrize(
    ("name", "at"),
    [
        pytest.param(name, at, id=f"{name}, {place}", marks=pytest.mark.slow if (i + k) % 4 else ())
        for i, name in enumerate(VARIANTS)
        for k, (place, at) in enumerate(PLACES.items())
    ],
)
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(name: str, at: tuple[int, int], tmp_path: Path) -> None:
    config = VARIANTS[name]
    whole = train(task(), *data(), config, tmp_path / "whole")
    stopped = train(task(), *data(), config, tmp_path / "run", watch=interrupting(*at))
    assert whole.finished and not stopped.finished
    resumed = train(task(), *data(), config, tmp_path / "run", resume=True)
    assert resumed.finished
    assert outcomes(resumed) == outcomes(whole)
    for file in ("resume", "last", "best"):
        assert same(stored(tmp_path / "run", file), stored(tmp_path / "whole", file))
    assert resumed.best is not None and whole.best is not None and resumed.best.epoch == whole.best.epoch


def test_the_random_numbers_of_the_caller_are_left_alone_and_do_not_matter(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(task(), *data(), CONFIG, tmp_path / "one")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    train(task(), *data(), CONFIG, tmp_path / "two")
    assert same(stored(tmp_path / "one"), stored(tmp_path / "two"))


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    train(task(), *data(), CONFIG, tmp_path / "one")
    train(task(), *data(), replace(CONFIG, seed=1), tmp_path / "two")  # dropout alone: the order is the data's
    assert not same(stored(tmp_path / "one"), stored(tmp_path / "two"))


def test_a_run_leaves_its_files_and_its_record(tmp_path: Path) -> None:
    seen: list[Epoch] = []
    made = train(task(), *data(), CONFIG, tmp_path / "run", reports=[seen.append])
    folder = tmp_path / "run"
    assert {p.name for p in folder.iterdir()} == {
        ".arithmos",
        "best.safetensors",
        "last.safetensors",
        "metrics.csv",
        "resume.safetensors",
        "training.json",
    }
    record = json.loads((folder / "training.json").read_text())
    assert record["task"] == {"model": "small", "dataset": "squares"}
    assert record["config"]["epochs"] == 4 and record["config"]["seed"] == 0
    assert record["data"]["train_images"] == 71 and record["data"]["train_sha256"].startswith("arrays:")
    assert record["position"]["epoch"] == 4 and record["position"]["step"] == 0
    assert (
        [e["accuracy"] for e in record["history"]] == [e.accuracy for e in made.history] == [e.accuracy for e in seen]
    )
    assert made.best is not None and record["best"]["accuracy"] == made.best.accuracy == max(e.accuracy for e in seen)
    best, last = small(), small()
    best.load_state_dict(stored(folder, "best"))
    last.load_state_dict(stored(folder, "last"))
    assert accuracy(best.eval(), data()[1]) == made.best.accuracy
    assert accuracy(last.eval(), data()[1]) == made.history[-1].accuracy
    assert len((folder / "metrics.csv").read_text().splitlines()) == 5


def test_the_loss_is_the_mean_over_the_images_of_the_epoch(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, optimizer=Optimizer(learning_rate=1e-30, weight_decay=0))
    model = small()
    model.drop.p = 0.0
    images, labels = squares(71, 1)
    (first, *_) = epochs(task(model), *data(71), replace(config, batch_size=71))
    fresh = small()
    fresh.drop.p = 0.0
    fresh.train()
    want = torch.nn.functional.cross_entropy(fresh(torch.from_numpy(images)), torch.from_numpy(labels))
    assert first.loss == pytest.approx(float(want.detach()), rel=1e-6)


def test_a_last_batch_of_one_image_is_left_out() -> None:
    images, labels = squares(33, 1)
    made = Arrays(images, labels, batch_size=16)
    (only,) = epochs(task(), made, data()[1], replace(CONFIG, epochs=1, schedule=Schedule()))
    assert np.isfinite(only.loss)


def test_hooks_run_before_each_epoch_and_after_each_step() -> None:
    calls: list[Any] = []
    chosen = task(before_epoch=lambda m, e: calls.append(e), after_step=lambda m: calls.append("step"))
    list(epochs(chosen, *data(), replace(CONFIG, epochs=2)))
    assert calls == [0, *["step"] * 5, 1, *["step"] * 5]


def test_another_score_chooses_another_best(tmp_path: Path) -> None:
    scores = iter([0.1, 0.9, 0.2, 0.3])
    made = train(task(score=lambda *_: next(scores)), *data(), CONFIG, tmp_path / "run")
    assert made.best is not None and (made.best.epoch, made.best.accuracy) == (2, 0.9)


class Fails(Small):
    """Gives NaN from its n-th training batch on."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.left -= self.training
        logits = super().forward(images)
        return logits * float("nan") if self.left < 0 else logits


def test_a_loss_of_nan_stops_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    whole = train(task(Fails(99)), *data(), CONFIG, tmp_path / "whole", watch=interrupting(2, 5))
    with pytest.raises(TrainingError) as caught:
        train(task(Fails(11)), *data(), CONFIG, tmp_path / "run")
    assert str(caught.value) == (
        "the loss is NaN or infinite\n"
        "  at   epoch 3, step 2\n"
        "  why  the steps became too large, or an image is not finite\n"
        "  fix  start anew with a smaller --learning-rate, --warmup-epochs 5 or --clip-norm 1; the checkpoints of the "
        "last good epoch are kept"
    )
    assert len(whole.history) == 2
    good = stored(tmp_path / "run", "last")
    assert all(bool(torch.isfinite(t.double()).all()) for t in good.values())
    assert json.loads((tmp_path / "run" / "training.json").read_text())["position"]["epoch"] == 2


def test_a_loss_of_nan_in_the_first_epoch_promises_no_weights(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"or --clip-norm 1; no epoch was finished, so no weights are kept$"):
        train(task(Fails(2)), *data(), CONFIG, tmp_path / "run")
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_weights_that_became_nan_in_the_last_step_are_not_kept(tmp_path: Path) -> None:
    model, calls = small(), iter(range(99))

    def spoil(module: Any) -> None:
        if next(calls) == 9:
            with torch.no_grad():
                module.fc.bias[0] = float("inf")

    with pytest.raises(TrainingError, match=r"a weight is NaN or infinite\n  at   epoch 2, step 5"):
        train(task(model, after_step=spoil), *data(), CONFIG, tmp_path / "run")
    assert bool(torch.isfinite(stored(tmp_path / "run", "last")["fc.bias"]).all())


def test_a_run_interrupted_in_its_first_epoch_can_be_resumed(tmp_path: Path) -> None:
    whole = train(task(), *data(), CONFIG, tmp_path / "whole")
    first = train(task(), *data(), CONFIG, tmp_path / "run", watch=interrupting(1, 2))
    assert (first.finished, first.history, first.best) == (False, (), None)
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert outcomes(train(task(), *data(), CONFIG, tmp_path / "run", resume=True)) == outcomes(whole)


def test_a_finished_run_resumed_is_finished(tmp_path: Path) -> None:
    whole = train(task(), *data(), CONFIG, tmp_path / "run")
    model = small(seed=3)
    again = train(task(model), *data(), CONFIG, tmp_path / "run", resume=True)
    assert again.finished and again.history == whole.history
    assert accuracy(model, data()[1]) == whole.history[-1].accuracy


def test_a_resumed_run_leaves_the_bytes_of_a_whole_one(tmp_path: Path) -> None:
    train(task(), *data(), CONFIG, tmp_path / "whole")
    train(task(), *data(), CONFIG, tmp_path / "run", watch=interrupting(2, 2))
    train(task(), *data(), CONFIG, tmp_path / "run", resume=True)
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_resume_of_something_else_lists_what_differs(tmp_path: Path) -> None:
    train(task(), *data(), CONFIG, tmp_path / "run")
    other = replace(CONFIG, epochs=9, mixup=0.2, schedule=Schedule(schedule="step"))
    images, labels = squares(70, 4)
    changed = (Arrays(images, labels, batch_size=16), data()[1])
    with pytest.raises(UsageError) as caught:
        train(task(facts={"model": "large", "dataset": "squares"}), *changed, other, tmp_path / "run", resume=True)
    said = str(caught.value).splitlines()
    assert said[0] == "this is not the training that is resumed"
    assert [line.strip().removeprefix("why").strip() for line in said[2:-1]] == [
        "model: small there, large here",
        "epochs: 4 there, 9 here",
        "mixup: 0.0 there, 0.2 here",
        "schedule: cosine there, step here",
        "warmup_epochs: 1 there, 0.0 here",
        "train_images: 71 there, 70 here",
        f"train_sha256: {data()[0].digest} there, {changed[0].digest} here",
    ]
    assert said[-1] == (
        "  fix  give the options of that run, or none beside --resume and --data-dir; or start anew with another --out"
    )


def test_an_existing_folder_is_refused_or_replaced(tmp_path: Path) -> None:
    train(task(), *data(), CONFIG, tmp_path / "run")
    with pytest.raises(UsageError, match="run exists"):
        train(task(), *data(), CONFIG, tmp_path / "run")
    train(task(), *data(), replace(CONFIG, epochs=2), tmp_path / "run", force=True)
    assert json.loads((tmp_path / "run" / "training.json").read_text())["config"]["epochs"] == 2


def nothing() -> Arrays:
    return Arrays(np.zeros((0, 1, 5, 5), np.float32), np.zeros(0), batch_size=16)


@pytest.mark.parametrize(
    ("train_on", "config", "model", "said"),
    [
        (nothing(), CONFIG, small(), "there are no training images"),
        (data()[0], replace(CONFIG, batch_size=72), small(), "the batch size is 72 and there are 71 training images"),
        (data()[0], CONFIG, small(classes=2), "the network gives 2 classes and a label is 2"),
        (data()[0], CONFIG, torch.nn.Identity(), "the network gives no logits"),
        (data()[0], CONFIG, torch.nn.Conv2d(3, 3, 3), "the network does not take these images"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(
    train_on: Arrays, config: Config, model: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        train(task(model), train_on, data()[1], config, tmp_path / "run")
    assert caught.value.what == said
    assert list(tmp_path.iterdir()) == []


def test_mixed_precision_trains(tmp_path: Path) -> None:
    made = train(task(), *data(), replace(CONFIG, epochs=6), tmp_path / "run", place=Place("cpu", amp=True))
    assert made.history[-1].loss < made.history[0].loss
    assert stored(tmp_path / "run", "last")["conv.weight"].dtype == torch.float32


def test_accuracy_is_the_share_of_right_images_over_all_batches() -> None:
    model = torch.nn.Identity()
    batches = [
        (np.eye(3, dtype=np.float32), np.asarray([0, 1, 0])),
        (np.zeros((2, 3), np.float32), np.asarray([0, 1])),  # a tie goes to the lower class
    ]
    assert accuracy(model, iter(batches)) == 3 / 5


def test_a_separable_problem_is_learned() -> None:
    *_, last = epochs(task(), *data(), replace(CONFIG, epochs=12))
    assert last.accuracy == 1.0
