"""The folder of a run: made or continued, and what is written into it after every epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arithmos import __version__
from arithmos.atomic import expect, output_dir
from arithmos.errors import UsageError
from arithmos.extras import require
from arithmos.train.checkpoint import (
    BEST,
    LAST,
    RECORD,
    RESUME,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
    write_weights,
)
from arithmos.train.config import Config, as_mapping, differences
from arithmos.train.log import EVENTS, METRICS, write_csv
from arithmos.train.place import Place
from arithmos.train.session import Session
from arithmos.train.task import Batches, Epoch, Task

if TYPE_CHECKING:
    from torch import Tensor


N_SHOWN = 10
"""Tensors that an error names."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder; facts: what the record says of task, configuration and data, with which a resumed run must agree.

    start: the checkpoint to go on from. history: the epochs before it.
    """

    path: Path
    facts: Mapping[str, Any]
    place: Place
    start: Checkpoint | None
    history: tuple[Epoch, ...]

    def restore(self, session: Session) -> None:
        """Bring the session to where the run stopped; of a new run, write its first checkpoint, the untrained state."""
        if self.start is None:
            return self.keep(session, ())
        position = self.start.record["position"]
        _check_tensors(self.path, session, self.start.tensors)
        session.restore(self.start.tensors)
        session.epoch, session.step, session.wall_s = (position[key] for key in ("epoch", "step", "wall_s"))
        if self.place.rank == 0:  # the sums of all processes were added up when they were written
            session.total.fill_(position["total"])
            session.seen = position["seen"]
        return None

    def keep(self, session: Session, history: Sequence[Epoch]) -> None:
        """Write the weights (the best ones where these are), then the state, the record and the table of epochs."""
        total, seen = session.so_far()
        if self.place.rank == 0:
            best = max(history, key=lambda epoch: epoch.accuracy, default=None)
            finished_now = bool(history) and session.step == 0 and history[-1].epoch == session.epoch
            if finished_now:
                facts = {**self.facts["task"], "epoch": history[-1].epoch, "accuracy": history[-1].accuracy}
                tensors = session.model.state_dict()
                write_weights(self.path / LAST, tensors, facts)
                if best is history[-1]:
                    write_weights(self.path / BEST, tensors, facts)
            position = {"epoch": session.epoch, "step": session.step, "total": total, "seen": seen}
            record = {
                **self.facts,
                "best": asdict(best) if best else None,
                "position": {**position, "wall_s": session.wall_s},
                "history": [asdict(epoch) for epoch in history],
                "environment": environment(self.place),
            }
            write_checkpoint(self.path, record, session.tensors())
            write_csv(self.path / METRICS, history)
        if self.place.fabric:
            self.place.fabric.barrier()


def opened(
    out: Path,
    task: Task,
    data: tuple[Batches, Batches],
    config: Config,
    place: Place,
    *,
    resume: bool,
    force: bool,
) -> RunFolder:
    """The folder of a new run, empty but for the marker; or of one to be resumed, with its checkpoint.

    Raises UsageError if a new one exists (with force: if arithmos did not write it), if there is nothing to resume, and
    if it was another training: everything that differs is listed.
    """
    train, held_out = data
    facts: dict[str, Any] = {
        "task": dict(task.facts),
        "config": _plain(as_mapping(config)),
        "data": {
            "train_images": train.n_images,
            "train_sha256": train.digest,
            "held_out_images": held_out.n_images,
            "held_out_sha256": held_out.digest,
        },
    }
    if not resume:
        if place.rank == 0:
            with output_dir(out, force=force) as folder:
                expect(folder, (BEST, LAST, RESUME, RECORD, METRICS, f"{EVENTS}/"))
        return RunFolder(out, facts, place, None, ())
    start = read_checkpoint(out)
    refuse_differences(out, start.record, facts)
    return RunFolder(out, facts, place, start, tuple(Epoch(**epoch) for epoch in start.record["history"]))


def refuse_differences(out: Path, record: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UsageError where the parts of a record (task, config, data) that `facts` has are others there."""
    found = [line for part in facts for line in differences(record[part], _plain(facts[part]))]
    if found:
        raise UsageError(
            "this is not the training that is resumed",
            where=str(out),
            why="\n".join(found),
            fix="give the options of that run, or none beside --resume and --data-dir; "
            "or start anew with another --out",
        )


def environment(place: Place) -> dict[str, Any]:
    """Versions, device and threads: what the same bits depend on beside the configuration."""
    torch = require("torch", "torch")
    return {
        "arithmos": __version__,
        "torch": torch.__version__,
        "device": place.device,
        "devices": place.world,
        "amp": place.amp,
        "threads": torch.get_num_threads(),
    }


def _check_tensors(folder: Path, session: Session, stored: Mapping[str, Tensor]) -> None:
    """Raise UsageError where the checkpoint's weights are those of another architecture under the same name."""
    there = {name.removeprefix("model/"): tuple(t.shape) for name, t in stored.items() if name.startswith("model/")}
    here = {name: tuple(tensor.shape) for name, tensor in session.model.state_dict().items()}
    found = differences(there, here)
    if found:
        more = [f"and {len(found) - N_SHOWN} more"] if len(found) > N_SHOWN else []
        raise UsageError(
            f"the checkpoint is of another architecture: {len(found)} of its tensors differ",
            where=str(folder),
            why="\n".join(["shapes:", *found[:N_SHOWN], *more]),
            fix="resume with the network as it was, or start anew with another --out",
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
