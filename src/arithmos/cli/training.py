"""What `arithmos train` does: from names to a network, batches and a configuration, and back to facts for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from arithmos.cli.config_flags import chosen
from arithmos.cli.epochs import Epochs
from arithmos.device import find_device
from arithmos.errors import UsageError
from arithmos.lower.toml_fields import read_toml
from arithmos.models.reference import resolve
from arithmos.models.registry import build, entry, is_known, variant
from arithmos.train.checkpoint import BEST, read_record
from arithmos.train.config import Config, as_mapping, as_toml, from_mapping, leaves
from arithmos.train.data.datasets import find
from arithmos.train.data.loader import Loader, loader
from arithmos.train.data.preparation import Preparation
from arithmos.train.defaults import literature, shortened
from arithmos.train.log import EVENTS, Report, tensorboard
from arithmos.train.loop import steps_of, train
from arithmos.train.place import CPU, Place
from arithmos.train.run_folder import refuse_differences
from arithmos.train.task import Task


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be trained, on what, and where to; plain values, since other processes get it too.

    model: the registered name, or the reference to the user's own. options: the flags that change no weight.
    """

    model: str
    dataset: str
    data_dir: Path | None
    preparation: Preparation
    out: Path
    device: str
    options: Mapping[str, Any]


def request_of(given: Mapping[str, Any], out: Path, n_devices: int) -> Request:
    """The request of the command line, completed by the run to be resumed.

    Raises UsageError for an unknown network, data set or device.
    """
    device = find_device(given["device"], n_devices)
    stored = read_record(out)["task"] if given["resume"] else {}
    model, dataset = given["model"], given["dataset"] or stored.get("dataset")
    if is_known(model) or ":" not in model:
        model = variant(model, dataset) if dataset else entry(model).name
        dataset = dataset or entry(model).dataset
        preparation = entry(model).prepared(dataset)
    elif not dataset:
        raise UsageError(
            f"'{model}' needs a data set",
            why="your own network does not say what it is for",
            fix="name it: --data cifar10",
        )
    else:
        preparation = find(dataset).preparation
    kept = stored["preparation"] if stored.get("model") == model else {}
    normal: dict[str, Any] = {key: tuple(value) for key in ("mean", "std") if (value := given[key] or kept.get(key))}
    options = {key: given[key] for key in ("skip_corrupt", "workers", "tensorboard", "resume", "force")}
    return Request(model, dataset, given["data_dir"], replace(preparation, **normal), out, device, options)


def config_of(request: Request, given: Mapping[str, Any]) -> Config:
    """The network's usual one, or that of the run to be resumed; then the file, the flags and --set, in this order.

    Raises UsageError where the run to be resumed is another one, before any data is read.
    """
    file, record = given["config_file"], read_record(request.out) if request.options["resume"] else None
    asked = {**(read_toml(file, "configuration") if file else {}), **chosen(given, given["sets"], leaves())}
    if record:
        base = from_mapping(record["config"], str(request.out))
    else:
        usual = literature(request.model, request.dataset).config
        base = usual if "warmup_epochs" in asked else shortened(usual, asked.get("epochs"))
    config = from_mapping(asked, str(file or ""), base)
    if record:
        refuse_differences(request.out, record, {"task": task_facts(request), "config": as_mapping(config)})
    return config


def network(request: Request, seed: int) -> Any:
    """The module to train. Raises UsageError for an exported program, whose graph is fixed for inference."""
    if is_known(request.model):
        return build(request.model, seed=seed, classes=find(request.dataset).classes)
    found = resolve(request.model)
    if not hasattr(found, "parameters") or not callable(getattr(found, "train", None)):
        raise UsageError(
            f"'{request.model}' is an exported program",
            why="its graph is that of inference, and batch norm and dropout in it are fixed",
            fix="give the module itself: my_file.py:make_model",
        )
    return found


def batches(request: Request, config: Config, place: Place = CPU) -> tuple[Loader, Loader]:
    """(training, held-out) batches: the first shuffled and augmented, the second as they are."""
    shared: dict[str, Any] = {
        "preparation": request.preparation,
        "workers": request.options["workers"],
        "skip_corrupt": request.options["skip_corrupt"],
        "shard": (place.rank, place.world),
        "seed": config.seed,
    }
    names = (request.dataset, request.data_dir)
    train_split = loader(
        names[0], "train", names[1], batch_size=config.batch_size, augment=True, shuffle=True, **shared
    )
    return train_split, loader(names[0], "test", names[1], batch_size=max(256, config.batch_size), **shared)


def work(place: Place, request: Request, config: Config, visible: bool) -> dict[str, Any]:
    """Train in this process, alone or as one of several; the result as plain data."""
    data, held_out = batches(request, config, place)
    task = Task(network(request, config.seed), task_facts(request))
    lines = Epochs(config.epochs, visible=visible and place.rank == 0)
    with ExitStack() as stack:
        reports: list[Report] = [lines.report]
        if request.options["tensorboard"] and place.rank == 0:
            reports.append(stack.enter_context(tensorboard(request.out / EVENTS)))
        result = train(
            task,
            data,
            held_out,
            config,
            request.out,
            place=place,
            resume=request.options["resume"],
            force=request.options["force"],
            watch=lines.watch,
            reports=reports,
        )
    return {
        "run": str(request.out),
        "finished": result.finished,
        "epochs": len(result.history),
        "best": asdict(result.best) if result.best else None,
        "last": asdict(result.history[-1]) if result.history else None,
        "skipped": {"train": data.skipped, "held_out": held_out.skipped},
        "task": task_facts(request),
        "config": as_mapping(config),
        "next": _next(request),
    }


def task_facts(request: Request) -> dict[str, Any]:
    """What the record says of network and data, and a resume must repeat."""
    return {"model": request.model, "dataset": request.dataset, "preparation": asdict(request.preparation)}


def summary(done: Mapping[str, Any]) -> str:
    """A few lines for people: the accuracies, where the weights are, and the verb that goes on with them."""
    best, last = done["best"], done["last"]
    lines = [
        f"best     {100 * best['accuracy']:.2f} % of the held-out images, epoch {best['epoch']}",
        f"last     {100 * last['accuracy']:.2f} %, loss {last['loss']:.4f}, epoch {last['epoch']}",
    ]
    if any(done["skipped"].values()):
        lines.append("skipped  {train:,} training and {held_out:,} held-out images".format(**done["skipped"]))
    return "\n".join([*lines, f"wrote    {done['run']}", f"next     {done['next']}"])


def _next(request: Request) -> str:
    """The command that quantizes the best weights; their file says data set and normalisation itself."""
    words = ["arithmos", "quantize", str(request.out / BEST), "--model", request.model]
    if not is_known(request.model):
        side = request.preparation.crop or find(request.dataset).size
        words += ["--example", f"1x{request.preparation.channels}x{side}x{side}"]
    if request.data_dir:
        words += ["--data-dir", str(request.data_dir)]
    return shlex.join([*words, "-o", f"{request.out}-net"])


def plan(request: Request, config: Config) -> dict[str, Any]:
    """What would be done: network, data, steps, configuration."""
    model, (data, held_out) = network(request, config.seed), batches(request, config)
    return {
        **task_facts(request),
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_images": data.n_images,
        "held_out_images": held_out.n_images,
        "steps": steps_of(data, config, CPU) * config.epochs,
        "device": request.device,
        "source": literature(request.model, request.dataset).source,
        "config": as_mapping(config),
    }


def plan_text(made: Mapping[str, Any], config: Config) -> str:
    """The plan for people; its second part is a file for --config."""
    return "\n".join(
        [
            f"network  {made['model']}, {made['parameters']:,} parameters",
            f"data     {made['dataset']}, {made['train_images']:,} images and {made['held_out_images']:,} held out",
            f"steps    {made['steps']:,}, batches of {config.batch_size}, on {made['device']}",
            f"usual    {made['source']}",
            "",
            as_toml(config),
        ]
    )
