"""`arithmos doctor`: versions, machine, settings, the cache, what works, and the command for what does not."""

from __future__ import annotations

from dataclasses import asdict

import click

from arithmos import settings
from arithmos.cli import flags
from arithmos.cli.output import answer, table
from arithmos.report.environment import abilities, environment


@click.command("doctor")
@flags.as_json
@flags.verbosity
def command(as_json: bool) -> None:
    """Print what this machine has: versions, processor, compiler, GPU, settings; and how to get what is missing."""
    machine, can, variables, kept = environment(), abilities(), settings.variables(), settings.cached()
    packages = machine["packages"]
    document = {
        **machine,
        "cache": [asdict(c) for c in kept],
        "abilities": [asdict(a) for a in can],
        "variables": [asdict(v) for v in variables],
    }
    facts = [(key.replace("_", " "), _text(value)) for key, value in machine.items() if key != "packages"]
    parts = [
        table(("machine", ""), facts),
        table(("package", "version"), [(name, found or "not installed") for name, found in packages.items()]),
        table(
            ("ability", "works", "gives", "to get it"),
            [(a.name, a.works, a.gives, "" if a.works else a.fix) for a in can],
        ),
        table(("cache", "files", "MB", "to clear it"), [(c.name, c.files, c.mb, c.clear) for c in kept])
        if kept
        else "nothing is cached",
        table(("variable", "value", "now", "meaning"), [(v.name, v.value, v.effect, v.meaning) for v in variables]),
    ]
    answer(document, "\n\n".join(parts), as_json=as_json)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
