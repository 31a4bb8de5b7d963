"""The work of `sweep`: what is not done yet is done and kept; then tables, best recipe and page are made of all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from arithmos.cli.progress import Steps
from arithmos.cli.sweep_networks import Network, configurations, load, used
from arithmos.cli.sweep_output import ANY_BEST, FIGURES, PAGE, best_of, write_best, write_page, write_tables
from arithmos.cli.sweep_plan import duration
from arithmos.cli.sweep_request import Request
from arithmos.sweep.columns import DONE
from arithmos.sweep.configuration import Configuration, said
from arithmos.sweep.definition import FILE, differences, read_definition, write_definition
from arithmos.sweep.folder import BEST, SHARED, opened, refuse_other
from arithmos.sweep.results import Row, by_digest, made, ordered, pending
from arithmos.sweep.run import run
from arithmos.sweep.shared import write
from arithmos.sweep.store import read_rows, set_aside
from arithmos.sweep.table import CSV

N_FAILED = 20
"""Runs that failed and are listed at the end."""


def perform(request: Request, given: Mapping[str, Any], out: Path, steps: Steps) -> dict[str, Any]:
    """Do the sweep in the folder, or what is left of it; the document of what came of it.

    Raises UsageError for a folder of something else, or of another sweep. An interruption is raised on, with the tables
    written and with what to do next.
    """
    if out.exists():
        with opened(out):  # what refuses it is said at once
            pass
    with steps.step("load networks"):
        networks = {name: load(request, name) for name in used(request)}
    with opened(out):
        wanted = by_digest(configurations(request, networks))
        rows, before = read_rows(out), _written(out)
        _admit(request, out, rows, wanted, force=given["force"])
        write_definition(out, request.definition)
        tasks = pending(rows, wanted)
        _share(networks, tasks, out, steps)
        begun = time.perf_counter()
        try:
            _work_through(tasks, given, out, steps)
        except KeyboardInterrupt as stop:
            found = ordered(out, wanted)
            write_tables(out, found)
            stop.args = (
                f"interrupted after {sum(map(_done, found)):,} of {len(wanted):,} runs; {out} is kept: "
                "the same command goes on from there",
            )
            raise
        document = {"out": str(out), "runs": len(wanted), "skipped": len(wanted) - len(tasks)}
        document |= {"wall_s": round(time.perf_counter() - begun, 1)}
        return document | _output(request, networks, wanted, out, before, steps)


def summary(document: Mapping[str, Any]) -> str:
    """What came of the sweep, for people."""
    lines, new = [], document["runs"] - document["skipped"]
    if document["skipped"]:
        lines.append(f"{document['skipped']:,} of {document['runs']:,} runs were done already and are not made again")
    if new:
        lines.append(f"{document['done']:,} of {document['runs']:,} runs done, in {duration(document['wall_s'])}")
    if best := document["best"]:
        lines.append(f"{document['rule']}: {best['run']}: {_figures(best['row'])}")
    if failed := document["failed"]:
        lines += [f"{len(failed):,} failed:", *(f"  {one['run']}: {one['why']}" for one in failed[:N_FAILED])]
        lines += [f"  and {len(failed) - N_FAILED:,} more, see {CSV}"] * (len(failed) > N_FAILED)
    lines += [document["unfit"]] * bool(document["unfit"])
    lines += [f"not written: {sentence}" for sentence in document["missing"]]
    lines.append(f"wrote {document['out']}: {', '.join(document['files'])}")
    return "\n".join(lines)


def _admit(
    request: Request, out: Path, rows: Mapping[str, Row], wanted: Mapping[str, Configuration], *, force: bool
) -> None:
    """Raise UsageError where the folder has runs of another grid; with force, set them aside."""
    if force:
        set_aside(out, wanted)
    elif rows:
        old = read_definition(out / FILE) if (out / FILE).exists() else request.definition
        refuse_other(out, rows, wanted, differences(old, request.definition))


def _share(networks: Mapping[str, Network], tasks: Sequence[Configuration], out: Path, steps: Steps) -> None:
    """Write what runs share: only for those that are still to be made."""
    for name, n in sorted({(task.network, task.n_calibration) for task in tasks}):
        network = networks[name]
        with steps.step(f"share {name}, {n:,} images"):
            write(out / SHARED, network.graph, network.calibration[:n], network.images, network.labels, network.origin)


def _work_through(tasks: Sequence[Configuration], given: Mapping[str, Any], out: Path, steps: Steps) -> None:
    """Make the runs; a line for each with -v."""
    if not tasks:
        return
    begun = time.perf_counter()
    work = partial(run, (out / SHARED).absolute())  # workers may be in another directory
    running = made(out, tasks, work, given["executor"], given["workers"])
    with steps.step("runs", total=len(tasks)) as watch:
        for n, (task, row) in enumerate(watch(running), 1):
            left = (time.perf_counter() - begun) / n * (len(tasks) - n)
            result = _figures(row) if _done(row) else f"failed: {row['Status']}"
            steps.note(f"{n:,}/{len(tasks):,}  {said(task.point)}  {result}  about {duration(left)} left")


def _written(out: Path) -> list[bytes]:
    """All that a page follows from: the table, the best recipe with its rule, the definition."""
    return [(out / name).read_bytes() if (out / name).exists() else b"" for name in (CSV, BEST, FILE)]


def _output(
    request: Request,
    networks: Mapping[str, Network],
    wanted: Mapping[str, Configuration],
    out: Path,
    before: Sequence[bytes],
    steps: Steps,
) -> dict[str, Any]:
    """Write tables, the best recipe, and the page unless it stays as it was; what is said of them and of the runs.

    before: what was written there when the sweep began.
    """
    found = ordered(out, wanted)
    files, missing = write_tables(out, found)
    best, unfit = best_of(found, request.rule)
    points = {name: said(configuration.point) for name, configuration in wanted.items()}
    rule = request.rule.text if request.rule else ANY_BEST
    if best is not None:
        chosen = wanted[best["Digest"]]
        write_best(out, rule, best, chosen, request.networks[chosen.network])
        files.append(BEST)
    else:
        (out / BEST).unlink(missing_ok=True)  # of an earlier rule
    page, more = [PAGE, FIGURES], list[str]()
    if not (out / PAGE).exists() or _written(out) != before:
        page, more = write_page(out, request, networks, found, best, rule, steps)
    failed = [{"run": points[row["Digest"]], "why": row["Status"]} for row in found if not _done(row)]
    return {
        "done": sum(map(_done, found)),
        "failed": failed,
        "rule": rule,
        "unfit": unfit,
        "best": best and {"run": points[best["Digest"]], "row": best},
        "files": files + page,
        "missing": missing + more,
    }


def _done(row: Mapping[str, Any]) -> bool:
    return bool(row["Status"] == DONE)


def _figures(row: Mapping[str, Any]) -> str:
    """ "90.40 % (float 91.00 %), 6.2 s"."""
    shares = [("{:.2f} %", "Quantized Top1 Accuracy"), ("integers {:.2f} %", "Integer Top1 Accuracy")]
    parts = [form.format(100 * row[name]) for form, name in shares if row[name] is not None]
    parts += [f"float {100 * row['Original Top1 Accuracy']:.2f} %"] * (row["Original Top1 Accuracy"] is not None)
    parts += [f"{row['Wall Seconds']:.1f} s"] * (row["Wall Seconds"] is not None)
    return ", ".join(parts)
