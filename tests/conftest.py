"""What every test shares: seeded hypothesis, a cache inside the project, the folder of real data."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

PROJECT = Path(__file__).resolve().parent.parent

# Compiled kernels are kept between runs and between workers, and nothing is written to the home directory.
os.environ.setdefault("ARITHMOS_CACHE", str(PROJECT / ".cache" / "arithmos"))

hypothesis.settings.register_profile("seeded", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("seeded")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real weights and images: $ARITHMOS_TEST_DATA, else shared/data beside the project; skipped without."""
    folder = Path(os.environ.get("ARITHMOS_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set ARITHMOS_TEST_DATA to a folder that has it")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The fast tests come first: a mistake shows within a minute."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_configure() -> None:
    """A background job ignores Ctrl-C, and so would the tests of Ctrl-C and the processes they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
