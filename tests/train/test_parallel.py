"""Two processes that train together give what one gives; their errors arrive as they are."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.errors import TrainingError, UsageError  # noqa: E402
from arithmos.train.loop import accuracy, train  # noqa: E402
from arithmos.train.memory import Arrays  # noqa: E402
from arithmos.train.parallel import launch  # noqa: E402
from arithmos.train.place import Place  # noqa: E402
from train.small import CONFIG, Small, interrupting, same, squares, stored, task  # noqa: E402

pytest.importorskip("lightning_fabric", reason='pip install "arithmos[train]"')
pytestmark = pytest.mark.slow


class Plain(torch.nn.Module):
    """No batch norm, whose statistics are each process's own, and no dropout: one process and two do the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 6, 3, padding=1)
        self.fc = torch.nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(torch.relu(self.conv(images)).mean((2, 3)))
        return logits


class Shard(Arrays):
    """Every world-th row of the batches of one process; 71 images in batches of 16 leave a rest of 7: 4 and 3 rows."""

    def __init__(self, place: Place, *arrays: Any, **options: Any) -> None:
        super().__init__(*arrays, **options)
        self.place = place

    def __iter__(self) -> Any:
        for images, labels in super().__iter__():
            yield images[self.place.rank :: self.place.world], labels[self.place.rank :: self.place.world]


def work(place: Place, out: Path, what: str) -> dict[str, Any]:
    """What every process does; `what` goes wrong, or nothing."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Small() if "norm" in what else Plain()
    data = Shard(place, *squares(71, 1), batch_size=16, shuffle=True)
    held_out = Shard(place, *squares(30, 2), batch_size=20)
    config = replace(CONFIG, epochs=6, mixup=0.3 if what == "mixup" else 0.0)
    if what == "nan":
        config = replace(config, optimizer=replace(config.optimizer, learning_rate=1e30))
    if what == "usage" and place.rank == 1:
        raise UsageError("a picture cannot be read", where="row 3", why="it is cut off", fix="fetch it again")
    watch = interrupting(2, 3) if "interrupted" in what else lambda _, batches: batches
    done = train(task(model), data, held_out, config, out, place=place, watch=watch, resume="resume" in what)
    return {"history": [asdict(epoch) for epoch in done.history], "finished": done.finished}


def outcomes(done: dict[str, Any]) -> list[tuple[float, float]]:
    return [(epoch["loss"], epoch["accuracy"]) for epoch in done["history"]]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    one = launch(work, tmp_path / "one", "", device="cpu")
    two = launch(work, tmp_path / "two", "", device="cpu", n_devices=2)
    assert len(two["history"]) == 6 and two["finished"]
    for (loss, top1), (other, its) in zip(outcomes(one), outcomes(two), strict=True):
        assert loss == pytest.approx(other, rel=1e-6)
        assert top1 == its
    alone, together = stored(tmp_path / "one", "last"), stored(tmp_path / "two", "last")
    for name, tensor in alone.items():
        assert torch.allclose(tensor, together[name], rtol=0, atol=1e-6), name


def test_two_processes_interrupted_and_resumed_give_the_bits_of_two_that_were_not(tmp_path: Path) -> None:
    whole = launch(work, tmp_path / "whole", "norm", device="cpu", n_devices=2)
    stopped = launch(work, tmp_path / "run", "norm interrupted", device="cpu", n_devices=2)
    assert not stopped["finished"]
    resumed = launch(work, tmp_path / "run", "norm resume", device="cpu", n_devices=2)
    assert outcomes(resumed) == outcomes(whole)
    assert same(stored(tmp_path / "run"), stored(tmp_path / "whole"))
    model = Small()
    model.load_state_dict(stored(tmp_path / "run", "last"))
    held_out = Arrays(*squares(30, 2), batch_size=20)
    assert accuracy(model.eval(), held_out) == outcomes(resumed)[-1][1]


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("nan", TrainingError, "the loss is NaN or infinite"),
        ("usage", UsageError, "a picture cannot be read\n  at   row 3\n  why  it is cut off\n  fix  fetch it again"),
    ],
)
def test_an_error_in_a_process_is_raised_as_it_is(what: str, kind: type, said: str, tmp_path: Path) -> None:
    with pytest.raises(kind) as caught:
        launch(work, tmp_path / "run", what, device="cpu", n_devices=2)
    assert str(caught.value).startswith(said)
