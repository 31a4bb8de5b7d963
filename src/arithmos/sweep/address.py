"""The address of a cluster, HOST:PORT, and whether anybody listens there."""

from __future__ import annotations

import socket

from arithmos.errors import UsageError

REACH_S = 5.0
"""How long a cluster may take to accept a connection."""


def reach(url: str, *, start: str) -> None:
    """Raise UsageError unless somebody accepts connections at SCHEME://HOST:PORT. start: how to start one there."""
    host, _, port = url.partition("://")[2].rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise UsageError(
            f"'{url}' is not the address of a cluster",
            why="an address is SCHEME://HOST:PORT",
            fix=f"for example {url.partition('://')[0]}://localhost:{8786 if url.startswith('dask') else 10001}",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        raise unreachable(url, (error.strerror or str(error) or "no answer").lower(), start=start) from error


def unreachable(url: str, why: str, *, start: str) -> UsageError:
    """The refusal of a cluster that cannot be used, with how one is started."""
    return UsageError("the cluster cannot be reached", where=url, why=why, fix=start)


def gone(url: str) -> UsageError:
    """The end of a sweep whose cluster ended before it."""
    return UsageError(
        "the cluster went away",
        where=url,
        why="the connection to it was lost; the runs that are done are kept",
        fix="start the sweep again when the cluster is there: it goes on where it stopped",
    )
