"""The lock: one process at a time, the second is told which, and death lets go."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.lock import LOCK, locked

HOLD = "import sys, time; from pathlib import Path; from arithmos.sweep.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


def test_a_second_process_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError) as caught, locked(tmp_path):
            pass
        assert str(caught.value) == (
            "a sweep is running in this folder\n"
            f"  at   {tmp_path}\n"
            f"  why  process {holder.pid} on {platform.node()} writes into it\n"
            "  fix  wait until it has ended, or name another folder with --out"
        )
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with locked(tmp_path):  # killed, and yet nothing is left to remove
        assert f'"pid": {os.getpid()}' in (tmp_path / LOCK).read_text()


def test_it_is_let_go_at_the_end_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    for _ in range(2):
        with locked(tmp_path):
            pass


def test_a_holder_that_has_not_said_its_name_yet(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK).write_text("")
        with pytest.raises(UsageError, match="another process writes into it"), locked(tmp_path):
            pass
