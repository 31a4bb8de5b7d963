"""Progress: a line a step on stderr where somebody can see it, bars on a terminal, silence elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from arithmos.cli.progress import Steps


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=terminal, width=80, color_system=None), written


def test_every_step_is_kept_with_its_time_and_memory() -> None:
    shown = Steps(console(False)[0], shown=False)
    for name in ("one", "two"):
        with shown.step(name):
            pass
    assert [fact["step"] for fact in shown.facts()] == ["one", "two"]
    assert all(fact["wall_s"] >= 0 and fact["peak_mb"] > 1 for fact in shown.facts())


def test_a_step_that_fails_is_not_done() -> None:
    screen, written = console(False)
    shown = Steps(screen, shown=True)
    with pytest.raises(ZeroDivisionError), shown.step("divide"):
        raise ZeroDivisionError
    assert shown.done == [] and written.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_watched_items_pass_unchanged(terminal: bool) -> None:
    screen, written = console(terminal)
    shown = Steps(screen, shown=True)
    with shown.step("count", total=3) as watch:
        assert list(watch(range(3))) == [0, 1, 2]
    assert "count" in written.getvalue() and "MB" in written.getvalue()
    assert ("3/3" in written.getvalue()) == terminal


def test_silence_is_silent() -> None:
    screen, written = console(True)
    with Steps(screen, shown=False).step("hidden", total=1) as watch:
        list(watch([1]))
    assert written.getvalue() == ""


@pytest.mark.parametrize("verbose", [True, False])
def test_notes_are_for_those_who_ask(verbose: bool) -> None:
    screen, written = console(False)
    Steps(screen, shown=True, verbose=verbose).note("3/4 [done]")
    assert written.getvalue() == ("3/4 [done]\n" if verbose else "")
