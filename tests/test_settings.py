"""Every environment variable: what it changes, what it is when unset, and what a wrong value says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from arithmos import settings
from arithmos.errors import UsageError

SOURCE = Path(settings.__file__).parent


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in settings.variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_cache_is_in_the_home_directory(tmp_path: Path) -> None:
    assert settings.cache_dir() == tmp_path / ".cache" / "arithmos"


def test_xdg_moves_the_cache_and_our_variable_moves_it_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert settings.cache_dir() == Path("/caches/arithmos")
    monkeypatch.setenv("ARITHMOS_CACHE", "/mine")
    assert settings.cache_dir() == Path("/mine")


def test_what_is_cached_and_how_it_is_cleared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.cached() == ()
    place = tmp_path / "my cache"
    monkeypatch.setenv("ARITHMOS_CACHE", str(place))
    (place / "native" / "a").mkdir(parents=True)
    (place / "native" / "a" / "built").write_bytes(bytes(2_500_000))
    (place / "data").mkdir()
    assert settings.cached() == (
        settings.Cached("data", 0, 0.0, f"rm -r '{place}/data'"),
        settings.Cached("native", 1, 2.5, f"rm -r '{place}/native'"),
    )


def test_a_relative_xdg_directory_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert settings.cache_dir() == tmp_path / ".cache" / "arithmos"


def test_our_variable_may_be_relative_or_start_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARITHMOS_CACHE", "kept")
    assert settings.cache_dir() == Path.cwd() / "kept"
    monkeypatch.setenv("ARITHMOS_CACHE", "~/kept")
    assert settings.cache_dir() == tmp_path / "kept"


@pytest.mark.parametrize("chosen", ["", "~nobody-has-this-name/x"])
def test_without_a_home_the_cache_must_be_named(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setenv("ARITHMOS_CACHE", chosen)
    with pytest.raises(UsageError) as caught:
        settings.cache_dir()
    assert str(caught.value) == (
        "there is no place for the cache\n"
        "  why  the home directory is unknown\n"
        "  fix  set ARITHMOS_CACHE to a directory that can be written"
    )


@pytest.mark.parametrize("read", [settings.offline, settings.debug])
@pytest.mark.parametrize(
    ("value", "claim"),
    [("", False), ("0", False), ("no", False), ("Off", False), ("1", True), ("TRUE", True), (" yes ", True)],
)
def test_claims_are_yes_or_no(value: str, claim: bool, read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(read)
    assert read() is False
    monkeypatch.setenv(f"ARITHMOS_{read.__name__.upper()}", value)
    assert read() is claim


def test_any_other_claim_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMOS_OFFLINE", "maybe")
    with pytest.raises(UsageError) as caught:
        settings.offline()
    assert str(caught.value) == (
        "ARITHMOS_OFFLINE is neither yes nor no\n"
        "  at   ARITHMOS_OFFLINE=maybe\n"
        "  why  it takes 1, true, yes or on, and 0, false, no, off or nothing\n"
        "  fix  set ARITHMOS_OFFLINE=1 or unset it"
    )


@pytest.mark.parametrize(("value", "shown"), [("", True), ("1", False), ("0", False)])
def test_no_color_is_honoured_whatever_it_says(value: str, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    assert settings.color() is shown


def test_a_tool_is_the_first_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert settings.tool("cc") is None
    for name in ("clang", "gcc"):
        _program(tmp_path / name)
    assert settings.tool("cc") == tmp_path / "gcc"


def test_a_tool_can_be_named_by_path_or_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _program(tmp_path / "gcc")
    monkeypatch.setenv("ARITHMOS_CC", str(_program(tmp_path / "gcc-99")))
    assert settings.tool("cc") == tmp_path / "gcc-99"
    monkeypatch.setenv("ARITHMOS_CC", "gcc-99")
    assert settings.tool("cc") == tmp_path / "gcc-99"


def test_a_tool_that_is_not_there_is_refused_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _program(tmp_path / "gcc")
    monkeypatch.setenv("ARITHMOS_CC", "/nowhere/cc")
    with pytest.raises(UsageError) as caught:
        settings.tool("cc")
    assert str(caught.value) == (
        "ARITHMOS_CC does not name the C compiler\n"
        "  at   ARITHMOS_CC=/nowhere/cc\n"
        "  why  there is no program of this name that can be executed\n"
        "  fix  set ARITHMOS_CC to the path of the C compiler, or unset it to use the first of cc, gcc, clang"
    )


def test_the_table_shows_values_and_effects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ARITHMOS_CACHE", "/mine")
    monkeypatch.setenv("ARITHMOS_OFFLINE", "maybe")
    monkeypatch.setenv("NO_COLOR", "1")
    assert [(v.name, v.value, v.effect) for v in settings.variables()] == [
        ("ARITHMOS_CACHE", "/mine", "/mine"),
        ("XDG_CACHE_HOME", "", "/mine"),
        ("ARITHMOS_OFFLINE", "maybe", "ARITHMOS_OFFLINE is neither yes nor no"),
        ("ARITHMOS_DEBUG", "", "off"),
        ("NO_COLOR", "1", "on"),
        ("ARITHMOS_CC", "", "not found"),
        ("ARITHMOS_CXX", "", "not found"),
    ]
    assert all(v.meaning for v in settings.variables())


def test_no_other_file_reads_the_environment() -> None:
    readers = [p.name for p in SOURCE.rglob("*.py") if re.search(r"\benviron\b|\bgetenv\b", p.read_text())]
    assert readers == ["settings.py"]


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    assert shutil.which(path)
    return path
