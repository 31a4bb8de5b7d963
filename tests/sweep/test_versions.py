"""Workers of other versions are refused, all differences at once, and so are workers that cannot say theirs."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from arithmos.errors import UsageError
from arithmos.sweep.outcome import Died, Failure
from arithmos.sweep.versions import refuse_other_versions, versions


def test_workers_like_this_process_pass() -> None:
    here = versions(None)
    assert platform.python_version().startswith(here["Python"] + ".")
    refuse_other_versions("dask://a:1", [here, here])


def test_every_difference_is_listed_once() -> None:
    here = versions(None)
    other = here | {"Python": "3.9", "numpy": "1.0", "torch": "2.0.1"}
    outcomes = [here, other, other, Failure("ModuleNotFoundError: No module named 'arithmos'"), Died("no memory")]
    with pytest.raises(UsageError) as refused:
        refuse_other_versions("ray://head:10001", outcomes)
    assert str(refused.value) == (
        "the cluster's workers cannot make these runs\n"
        "  at   ray://head:10001\n"
        f"  why  Python 3.9 there, {here['Python']} here\n"
        f"       numpy 1.0 there, {here['numpy']} here\n"
        f"       torch 2.0.1 there, {here['torch']} here\n"
        "       ModuleNotFoundError: No module named 'arithmos'\n"
        "       a worker died at once: no memory\n"
        "  fix  install the same Python, arithmos, numpy and torch on every machine of the cluster"
    )


def test_torch_counts_without_being_loaded() -> None:
    torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    assert versions(None)["torch"] == torch.__version__.partition("+")[0]
    code = "import sys; from arithmos.sweep.versions import versions; versions(None); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"
