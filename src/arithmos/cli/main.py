"""`arithmos VERB …`: the table of verbs, the only place that catches errors, and the exit codes."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

import click

from arithmos import __version__, settings
from arithmos.cli.ending import Ended, ended_in_order
from arithmos.errors import ArithmosError

VERBS = {
    "train": "a network and a data set -> trained weights, in a folder that can be resumed",
    "quantize": "a trained network -> an exact integer network (a bundle)",
    "sweep": "a grid of quantizations -> a table, a page and the best recipe, in a folder that can be resumed",
    "approximate": "a trained network -> additions and multiplications alone (a bundle)",
    "run": "run a bundle on inputs",
    "verify": "compare every value of a bundle, or of a dump, across runners",
    "export": "write a bundle in a target's own format",
    "dump": "write every value of an inference to files",
    "prove": "prove an inference of a bundle in zero knowledge",
    "verify-proof": "check a proof, without the model's weights",
    "show": "print a bundle's graph",
    "report": "write a bundle's HTML page with plots",
    "models": "list the zoo, or check what a target can run of it",
    "data": "what a data set holds, in which layout, and a picture of it",
    "doctor": "what works on this machine, and the command for what does not",
    "demo": "train, quantize, verify, prove and report a digits network",
}
"""verb -> one line for --help. Each is the `command` of arithmos.cli.VERB, imported when it is called."""

EXIT_CODES = {
    0: "done",
    1: "a verification or accuracy gate failed, or a training diverged",
    2: "bad usage or bad input",
    3: "a tool is missing (the message has the install command)",
    4: "unsupported network (all its nodes are listed)",
    70: "a defect of arithmos",
    129: "ended by SIGHUP, like 130",
    130: "interrupted; nothing was left behind, but checkpoints",
    143: "ended by SIGTERM, like 130",
}


_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory")
"""How torch says so, of the processor's memory and of a GPU's."""


class Verbs(click.Group):
    """The group of verbs. A class because click asks for one: to load verbs lazily, and to end in one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a user's path."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported now; None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"arithmos.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a wrong verb is told the closest ones of verbs that are not loaded."""
        if not args[0].startswith("-") and args[0] not in VERBS and not ctx.resilient_parsing:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=VERBS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs and their lines, without importing any of them; then the exit codes."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a reader that closes our output early (`| head`) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at exit
            return 0
        return result

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Never:  # type: ignore[override]
        """Run a verb and exit with its code."""
        sys.exit(self._exit_code(args, prog_name or "arithmos", extra))

    def _exit_code(self, args: Sequence[str] | None, prog_name: str, extra: dict[str, Any]) -> int:
        try:
            with (
                ended_in_order(),
                warnings.catch_warnings(action="ignore", category=UserWarning),  # of other libraries, about themselves
            ):
                result = super().main(args, prog_name, **{**extra, "standalone_mode": False})
            return result if isinstance(result, int) else 0
        except click.ClickException as error:
            error.show()
            return 2
        except (click.Abort, KeyboardInterrupt) as stop:
            cause = stop.__cause__ or stop
            if isinstance(cause, EOFError):  # click takes the end of any file for the end of its own input
                return _explained(cause)
            click.echo(str(cause) or "interrupted; nothing was left behind", err=True)
            return cause.exit_code if isinstance(cause, Ended) else 130
        except Exception as error:
            return _explained(error)


def _explained(error: Exception) -> int:
    """Print the error for a person; return its exit code."""
    if _wants_traceback():
        traceback.print_exception(error)
    if isinstance(error, ArithmosError):
        code = error.exit_code
    elif isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))):
        code, error = (
            2,
            ArithmosError(
                "there is not enough memory",
                why=str(error).splitlines()[0] if str(error) else "an allocation failed",
                fix="use a smaller --batch-size, or a larger machine",
            ),
        )
    elif isinstance(error, OSError) and error.filename:
        code, error = (
            2,
            ArithmosError(
                "the system refuses a file",
                where=str(error.filename),
                why=str(error.strerror),
                fix="check the path and its permissions",
            ),
        )
    else:
        code, error = 70, _defect(error)
    click.echo(f"error: {error}", err=True)
    return code


def _defect(error: Exception) -> ArithmosError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return ArithmosError(
        f"a defect of arithmos {__version__}: {type(error).__name__}: {error}",
        where=f"{Path(last.filename).name}:{last.lineno}",
        why="something happened that the program was not written for; your input need not be wrong",
        fix="run it again with ARITHMOS_DEBUG=1 and report the output, the command and what `arithmos doctor` prints",
    )


def _wants_traceback() -> bool:
    try:
        return settings.debug()
    except ArithmosError:
        return True  # ARITHMOS_DEBUG is set to something that is neither yes nor no: whoever set it wants to see more


@click.group(
    "arithmos",
    cls=Verbs,
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="arithmos", message="%(prog)s %(version)s")
def main() -> None:
    """Trained networks as exact integer arithmetic: every step measured, every
    runner equal on every value.

    `arithmos VERB --help` explains a verb. Progress goes to stderr, results to
    stdout; --json makes them one JSON document.
    """
