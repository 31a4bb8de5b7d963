"""Generated C and C++: built once, loaded, cached by what determines it; and every way this can fail."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arithmos import native, settings
from arithmos.errors import CompileError, MissingTool, UsageError
from arithmos.native import available, compile_library, cpu_flags

needs_c = pytest.mark.skipif(not settings.tool("cc"), reason="no C compiler: apt-get install gcc libc6-dev")
needs_cxx = pytest.mark.skipif(not settings.tool("cxx"), reason="no C++ compiler: apt-get install g++")

TWICE = "long twice(long x) { return 2 * x; }\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "native"


def twice(library: ctypes.CDLL, x: int) -> int:
    library.twice.argtypes, library.twice.restype = [ctypes.c_long], ctypes.c_long
    return int(library.twice(x))


@needs_c
def test_a_library_is_built_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert twice(compile_library(TWICE), 21) == 42
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(native.subprocess, "run", None)  # whoever compiles now, fails
    assert twice(compile_library(TWICE), 4) == 8


@needs_c
def test_libraries_for_the_linker_follow_the_source() -> None:
    source = "#include <math.h>\ndouble root(double x) { return sqrt(x); }\n"
    library = compile_library(source, flags=("-lm", "-O0", "-Wl,--no-undefined"))
    library.root.argtypes, library.root.restype = [ctypes.c_double], ctypes.c_double
    assert library.root(49.0) == 7.0


@needs_c
def test_the_cache_is_bounded_and_loses_what_was_used_longest_ago(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        compile_library(f"int number(void) {{ return {i}; }}\n")
    builds = sorted(cache.iterdir(), key=lambda path: (path / "source.c").read_text())
    for hours, build in zip((9, 3, 5, 7), builds, strict=True):
        then = time.time() - 3600 * hours
        os.utime(build, (then, then))
    compile_library("int number(void) { return 2; }\n")  # used now
    size = max(sum(file.stat().st_size for file in build.iterdir()) for build in builds)
    monkeypatch.setattr(native, "CACHE_BYTES", 3 * size + size // 2)
    compile_library("int number(void) { return 4; }\n")
    left = {path.name for path in cache.iterdir()}
    assert len(left) == 3 and builds[1].name in left and builds[2].name in left
    monkeypatch.setattr(native, "CACHE_BYTES", 0)
    compile_library("int number(void) { return 5; }\n")
    assert builds[1].name not in {path.name for path in cache.iterdir()}
    assert len(list(cache.iterdir())) == 3, "what was used within the hour stays"


@needs_c
def test_headers_lie_beside_the_source_and_count() -> None:
    source = '#include "parts/factor.h"\nlong twice(long x) { return FACTOR * x; }\n'
    assert twice(compile_library(source, headers={"parts/factor.h": "#define FACTOR 2\n"}), 5) == 10
    assert twice(compile_library(source, headers={"parts/factor.h": "#define FACTOR 3\n"}), 5) == 15


@needs_cxx
def test_cxx_is_built_too() -> None:
    source = '#include <vector>\nextern "C" long twice(long x) { return std::vector<long>(2, x).size() * x; }\n'
    assert twice(compile_library(source, language="c++"), 6) == 12


@needs_c
@pytest.mark.parametrize("change", ["source", "flags", "version", "cpu"])
def test_what_determines_the_result_determines_the_place(
    change: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("-O1", "-march=native")
    compile_library(TWICE, flags=flags)
    if change == "version":
        monkeypatch.setattr(native, "_version", lambda compiler: "another compiler 1.0")
    if change == "cpu":
        monkeypatch.setattr(native, "cpu_flags", lambda: frozenset({"another_processor"}))
    compile_library(TWICE + "\n" * (change == "source"), flags=("-O2", "-march=native") if change == "flags" else flags)
    assert len(list(cache.iterdir())) == 2


@needs_c
def test_the_processor_does_not_matter_where_no_flag_says_native(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_library(TWICE)
    monkeypatch.setattr(native, "cpu_flags", lambda: frozenset({"another_processor"}))
    compile_library(TWICE)
    assert len(list(cache.iterdir())) == 1


@needs_c
def test_the_compilers_first_lines_are_shown(cache: Path) -> None:
    source = "".join(f"int f{i}(void) {{ return unknown_{i}; }}\n" for i in range(9))
    with pytest.raises(CompileError) as caught:
        compile_library(source, flags=("-O2",))
    error = caught.value
    kept = Path(error.where)
    assert kept.read_text() == source, "the source can be looked at and reported"
    assert error.what == "the compiler refused generated source"
    command, *lines = error.why.splitlines()
    assert command == f"{settings.tool('cc')} -shared -fPIC -O2 source.c -o built"
    assert len(lines) == 9
    assert "unknown_0" in error.why
    assert lines[-1].startswith("… and ")
    assert error.fix == (
        "use a newer compiler (ARITHMOS_CC, ARITHMOS_CXX); if that does not help, report it with this source"
    )
    with pytest.raises(CompileError):
        compile_library(source, flags=("-O2",))
    assert [p.name for p in cache.iterdir()] == [kept.parent.name]


@needs_c
def test_a_compiler_that_dies_silently_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "cc"
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1.0 && exit\nexit 9\n')
    script.chmod(0o755)
    monkeypatch.setenv("ARITHMOS_CC", str(script))
    with pytest.raises(CompileError, match="it ended with status 9 and said nothing"):
        compile_library(TWICE)
    assert not available()


@needs_c
def test_a_disk_that_is_full_is_not_the_compilers_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "cc"
    script.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo 1.0 && exit\n"
        "echo 'ld: final link failed: No space left on device' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("ARITHMOS_CC", str(script))
    with pytest.raises(UsageError) as caught:
        compile_library(TWICE)
    assert str(caught.value) == (
        "the disk is full\n"
        f"  at   {caught.value.where}\n"
        f"  why  {script} -shared -fPIC source.c -o built\n"
        "       ld: final link failed: No space left on device\n"
        "  fix  free some space for the cache and the temporary directory, or set ARITHMOS_CACHE to another place"
    )


def test_without_a_compiler_the_message_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ARITHMOS_CC", raising=False)
    with pytest.raises(MissingTool) as caught:
        compile_library(TWICE)
    assert str(caught.value) == (
        "this needs a C compiler\n"
        "  why  there is none of cc, gcc, clang on the search path\n"
        "  fix  install one: apt-get install gcc libc6-dev (Debian, Ubuntu), dnf install gcc (Fedora), "
        "xcode-select --install (macOS);\n"
        "       or set ARITHMOS_CC to its path"
    )
    assert not available()
    assert not available("c++")


@needs_c
def test_a_damaged_library_is_built_again(cache: Path) -> None:
    compile_library(TWICE + "\n")
    (built,) = cache.glob("*/built")
    copied = cache.parent.parent / "copied"
    shutil.copytree(cache.parent, copied)
    damaged = copied / "native" / built.parent.name / "built"
    damaged.write_bytes(damaged.read_bytes()[:100])
    code = f"from arithmos.native import compile_library\nprint(compile_library({TWICE!r} + '\\n').twice(8))\n"
    done = _child(code, copied)
    assert done.stdout == "16\n"
    assert damaged.stat().st_size == built.stat().st_size


@needs_c
def test_a_cache_that_forbids_execution_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(path: str) -> ctypes.CDLL:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr(native.ctypes, "CDLL", refuses)
    with pytest.raises(UsageError) as caught:
        compile_library(TWICE)
    assert str(caught.value) == (
        "a library that was just compiled cannot be loaded\n"
        f"  at   {caught.value.where}\n"
        f"  why  {caught.value.where}: failed to map segment from shared object\n"
        "  fix  set ARITHMOS_CACHE to a directory from which programs may be executed"
    )


def test_a_cache_that_cannot_be_written_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARITHMOS_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("ARITHMOS_CC", sys.executable)
    with pytest.raises(UsageError, match="set ARITHMOS_CACHE to a directory that can be written"):
        compile_library(TWICE)


@needs_c
def test_an_interrupted_build_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = settings.tool("cc")
    assert compiler is not None
    native._version(compiler)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(native.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compile_library(TWICE)
    assert not cache.exists()


@needs_c
def test_processes_build_the_same_source_at_once(cache: Path) -> None:
    code = f"from arithmos.native import compile_library; print(compile_library({TWICE!r}).twice(8))"
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: _child(code, cache.parent).stdout, range(4)))
    assert outputs == ["16\n"] * 4
    assert len(list(cache.iterdir())) == 1


@needs_c
def test_the_compiler_is_available() -> None:
    assert available()


def test_cpu_flags_are_the_systems_own() -> None:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        assert cpu_flags() == frozenset()
        return
    words = set(info.read_text().split())
    assert cpu_flags() <= words
    assert bool(cpu_flags()) == bool(words & {"flags", "Features"})


def _child(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    prepared = f"import os; os.environ['ARITHMOS_CACHE'] = {str(cache)!r}\n{code}"
    return subprocess.run([sys.executable, "-c", prepared], capture_output=True, text=True, check=True)
