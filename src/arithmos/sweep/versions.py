"""The versions that results depend on, here and on the workers of a cluster."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import numpy as np

import arithmos
from arithmos.errors import UsageError
from arithmos.sweep.outcome import Died, Failure


def versions(_: None) -> dict[str, str]:
    """{what: version} of the process that calls it; a worker calls it too."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "arithmos": arithmos.__version__,
        "numpy": np.__version__,
        "torch": _installed("torch"),
    }


def _installed(name: str) -> str:
    """The version of a library without loading it, and without the words of its build behind a plus."""
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "none"


def refuse_other_versions(url: str, outcomes: Iterable[Any]) -> None:
    """Raise UsageError where a worker has other versions than this process. outcomes: of `versions` on the workers."""
    here = versions(None)
    problems = []
    for outcome in outcomes:
        if not isinstance(outcome, dict):
            problems.append(_said(outcome))
            continue
        problems += [
            f"{name} {there} there, {here[name]} here" for name, there in outcome.items() if there != here[name]
        ]
    if problems:
        raise UsageError(
            "the cluster's workers cannot make these runs",
            where=url,
            why="\n".join(dict.fromkeys(problems)),
            fix="install the same Python, arithmos, numpy and torch on every machine of the cluster",
        )


def _said(outcome: Any) -> str:
    """Why a worker did not say its versions: it lacks the program, or did not live long enough."""
    if isinstance(outcome, Failure):
        return outcome.sentence
    return f"a worker died at once: {outcome.how}" if isinstance(outcome, Died) else str(outcome)
