"""The group of verbs: its help, its suggestions, and one exit code for every kind of end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from arithmos.cli.ending import Ended
from arithmos.cli.main import EXIT_CODES, VERBS, Verbs
from arithmos.errors import (
    ArithmosError,
    CompileError,
    MissingTool,
    RangeError,
    UnsupportedNetwork,
    UsageError,
    VerificationError,
)

HELP = """\
Usage: arithmos [OPTIONS] VERB [ARGS]...

  Trained networks as exact integer arithmetic: every step measured, every
  runner equal on every value.

  `arithmos VERB --help` explains a verb. Progress goes to stderr, results to
  stdout; --json makes them one JSON document.

Options:
  --version  Show the version and exit.
  --help     Show this message and exit.

Verbs:
  train         a network and a data set -> trained weights, in a folder that
                can be resumed
  quantize      a trained network -> an exact integer network (a bundle)
  sweep         a grid of quantizations -> a table, a page and the best recipe,
                in a folder that can be resumed
  approximate   a trained network -> additions and multiplications alone (a
                bundle)
  run           run a bundle on inputs
  verify        compare every value of a bundle, or of a dump, across runners
  export        write a bundle in a target's own format
  dump          write every value of an inference to files
  prove         prove an inference of a bundle in zero knowledge
  verify-proof  check a proof, without the model's weights
  show          print a bundle's graph
  report        write a bundle's HTML page with plots
  models        list the zoo, or check what a target can run of it
  data          what a data set holds, in which layout, and a picture of it
  doctor        what works on this machine, and the command for what does not
  demo          train, quantize, verify, prove and report a digits network

Exit codes:
  0    done
  1    a verification or accuracy gate failed, or a training diverged
  2    bad usage or bad input
  3    a tool is missing (the message has the install command)
  4    unsupported network (all its nodes are listed)
  70   a defect of arithmos
  129  ended by SIGHUP, like 130
  130  interrupted; nothing was left behind, but checkpoints
  143  ended by SIGTERM, like 130
"""


def test_help_is_this_text(arithmos: Any) -> None:
    result = arithmos("--help")
    assert result.exit_code == 0
    assert result.stdout == HELP


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(arithmos: Any, verb: str) -> None:
    result = arithmos(verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: arithmos {verb} ")
    if "COMMAND" in result.stdout:
        result = arithmos(verb, "show", "--help")
    assert "--json" in result.stdout and "--quiet" in result.stdout


def test_short_flags_are_the_agreed_ones() -> None:
    context = click.Context(Verbs(name="arithmos"))
    commands = [Verbs(name="arithmos").get_command(context, verb) for verb in VERBS]
    short = {o for c in commands if c for p in c.params for o in p.opts if o.startswith("-") and o[1] != "-"}
    assert short == {"-b", "-o", "-q", "-v"}


def ended_by(error: BaseException) -> Any:
    """The result of a verb that ends with this exception."""

    class Failing(Verbs):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            def callback() -> None:
                raise error

            return click.Command("run", callback=callback)

    return CliRunner().invoke(Failing(name="arithmos"), ["run"])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ArithmosError, 2),
        (UsageError, 2),
        (RangeError, 2),
        (VerificationError, 1),
        (MissingTool, 3),
        (UnsupportedNetwork, 4),
        (CompileError, 70),
    ],
)
def test_every_error_of_ours_has_its_code_and_its_text(kind: type[ArithmosError], code: int) -> None:
    result = ended_by(kind("this failed", why="a reason", fix="do that", where="conv1 (model.py:7)"))
    assert result.exit_code == code
    assert code in EXIT_CODES
    assert result.stdout == ""
    assert result.stderr == "error: this failed\n  at   conv1 (model.py:7)\n  why  a reason\n  fix  do that\n"


def test_a_defect_is_short_and_says_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARITHMOS_DEBUG", raising=False)
    result = ended_by(KeyError("x"))
    assert result.exit_code == 70
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: a defect of arithmos ")
    assert "KeyError: 'x'" in result.stderr and "test_main.py:" in result.stderr and "ARITHMOS_DEBUG=1" in result.stderr


@pytest.mark.parametrize("value", ["1", "not a truth value"])
def test_the_traceback_comes_on_request(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ARITHMOS_DEBUG", value)
    result = ended_by(KeyError("x"))
    assert result.exit_code == 70
    assert "Traceback (most recent call last)" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Ended(signal.SIGTERM), 143, "ended by SIGTERM; nothing was left behind\n"),
        (Ended(signal.SIGHUP), 129, "ended by SIGHUP; nothing was left behind\n"),
        (EOFError("No data left in file"), 70, "a defect of arithmos"),
        (PermissionError(13, "Permission denied", "net/graph.json"), 2, "net/graph.json"),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9"), 2, "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"), 2, "not enough memory"),
        (OSError("no file is named"), 70, "a defect"),
    ],
)
def test_the_system_may_end_it_too(error: BaseException, code: int, said: str) -> None:
    result = ended_by(error)
    assert result.exit_code == code
    assert said in result.stderr


def test_help_loads_neither_torch_nor_numpy() -> None:
    script = (
        "import sys\n"
        "from arithmos.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, sorted({'torch', 'numpy', 'rich', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("verb", ["quantize", "sweep", "run", "verify", "models", "doctor", "demo"])
def test_the_help_of_a_verb_loads_no_torch(verb: str) -> None:
    script = (
        "import sys\n"
        "from arithmos.cli.main import main\n"
        f"try:\n    main(['{verb}', '--help'])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


def test_a_closed_pipe_is_no_error(bundle: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "arithmos", "show", str(bundle)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
