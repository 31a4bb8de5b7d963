"""What a verifier of a proof is shown: the output, and the input if the prover likes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from arithmos.errors import UsageError

ROLES = ("input", "output")
_NONE: Mapping[str, str] = MappingProxyType({})


def shown(public: str | tuple[str, ...], hidden: Mapping[str, str] = _NONE) -> tuple[str, ...]:
    """The public roles, in the order of ROLES; public: names, or a text with commas between them.

    hidden: what a target cannot show yet, and why. Raises UsageError for that, for other names, and without the output:
    that there is an input proves nothing.
    """
    chosen = {part.strip() for part in (public.split(",") if isinstance(public, str) else public)}
    if refused := [part for part in hidden if part in chosen]:
        raise UsageError(
            f"'{refused[0]}' cannot be public", why=hidden[refused[0]], fix="choose output, or input,output"
        )
    if "output" not in chosen or not chosen <= set(ROLES):
        raise UsageError(
            f"what is public cannot be '{public if isinstance(public, str) else ','.join(public)}'",
            why="a proof shows the output, and the input if you like; weights are constants, which the key fixes",
            fix="choose output, or input,output",
        )
    return tuple(role for role in ROLES if role in chosen)
