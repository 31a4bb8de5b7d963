"""Several processes that train one network together, each on a device of its own.

Lightning Fabric starts them, joins them and averages their gradients with torch's DistributedDataParallel; one process
needs nothing of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from arithmos import errors
from arithmos.errors import ArithmosError
from arithmos.extras import require
from arithmos.train.interruption import noticed
from arithmos.train.place import Place

Work = Callable[..., dict[str, Any]]
"""(place, *arguments) -> plain data; a function of a module, since other processes import it."""

# At import, because the processes that are started import this before Fabric tells each of their addresses on stderr.
for _talker in ("lightning_fabric.utilities.distributed", "lightning_fabric.utilities.rank_zero"):
    logging.getLogger(_talker).setLevel(logging.WARNING)


def launch(work: Work, *arguments: Any, device: str, n_devices: int = 1, amp: bool = False) -> dict[str, Any]:
    """What work(place, *arguments) returns in process 0 of `n_devices`; with one, it runs in this process.

    device: "cpu" or "cuda"; arguments: picklable. An ArithmosError of any process is raised here as it is. Raises
    MissingTool without lightning-fabric where there are several.
    """
    if n_devices == 1:
        return work(Place(device, amp), *arguments)
    fabric = require("lightning_fabric", "train").Fabric(accelerator=device, devices=n_devices, strategy="ddp_spawn")
    torch_processes = require("torch.multiprocessing", "torch")
    with TemporaryDirectory() as folder, noticed():  # the processes end at Ctrl-C by themselves; this one waits
        note = Path(folder) / "error.json"
        try:
            # In a partial, because Fabric looks for modules in every argument and refuses frozen dataclasses.
            job = partial(_applied, work, arguments)
            done: dict[str, Any] = fabric.launch(_one, job, amp, note)
        except (torch_processes.ProcessRaisedException, torch_processes.ProcessExitedException):
            if not note.exists():
                raise
            told = json.loads(note.read_text())
            raise getattr(errors, told.pop("class"))(told.pop("what"), **told) from None
    return done


def _applied(work: Work, arguments: tuple[Any, ...], place: Place) -> dict[str, Any]:
    return work(place, *arguments)


def _one(fabric: Any, job: Callable[[Place], dict[str, Any]], amp: bool, note: Path) -> dict[str, Any]:
    """The work of one process; an error of the user's is written down, because torch passes on its text alone."""
    try:
        done = job(Place(str(fabric.device), amp, fabric))
        fabric.barrier()
        # Else a thread of gloo may still run when the process ends, which then aborts.
        require("torch.distributed", "torch").destroy_process_group()
        return done
    except ArithmosError as error:
        parts = {"what": error.what, "why": error.why, "fix": error.fix, "where": error.where}
        draft = note.with_suffix(f".{fabric.global_rank}")
        draft.write_text(json.dumps({"class": type(error).__name__, **parts}))
        draft.replace(note)
        raise
