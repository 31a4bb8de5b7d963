"""Flags made from the fields of a frozen configuration: names, help and defaults are written there, once."""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from arithmos.cli import flags
from arithmos.errors import UsageError
from arithmos.train.config import leaves

Decorator = Callable[[Any], Any]

VALUES = "VALUES"


def config_flags(
    cls: type, *, skip: Collection[str] = (), default: Callable[[str, Any], str] | None = None, several: bool = False
) -> Decorator:
    """One flag a field, and --set for anything; a flag that is not given is None, or () where it can be repeated.

    skip: fields without a flag of their own. default: (name, value) -> what --help says of the default. several: values
    are texts, for whoever reads lists and ranges in them.
    """
    shown = default or (lambda name, value: _shown(value))

    def decorate(command: Any) -> Any:
        command = click.option(
            "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any field, named as in the file."
        )(command)
        for name, (field, kind) in reversed(leaves(cls).items()):
            if name not in skip:
                text = f"{field.metadata['help']}  [default: {shown(name, field.default)}]"
                names = (*_names(name, kind), *field.metadata.get("also", ()))
                shape = _kind(kind)
                if several and "type" in shape and not shape.get("multiple"):
                    shape = {"type": click.STRING, "metavar": VALUES}
                command = click.option(*names, **shape, help=text + " Repeatable." * _several(kind))(command)
        return command

    return decorate


def chosen(given: Mapping[str, Any], sets: tuple[str, ...], names: Collection[str]) -> dict[str, Any]:
    """What the flags and then --set say of these names, and whatever else --set names."""
    found = {name: value for name, value in given.items() if name in names and value not in (None, ())}
    for text in sets:
        found = merged(found, parsed(text))
    return found


def parsed(text: str) -> dict[str, Any]:
    """{"a": {"b": 4}} of "a.b=4"; a value that is no TOML is text, so that activation_observer=mse needs no quotes."""
    key, equals, value = text.partition("=")
    for candidate in (text, f"{key}={value!r}") if equals else ():
        try:
            return tomllib.loads(candidate)
        except tomllib.TOMLDecodeError:
            continue
    raise UsageError(
        f"--set {text} is not KEY=VALUE",
        why="a key, an equals sign and a value are needed",
        fix="for example --set weight_bits=4",
    )


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The new values over the old ones, table by table."""
    tables = {
        k: merged(under if isinstance(under := old.get(k), Mapping) else {}, v)
        for k, v in new.items()
        if isinstance(v, Mapping)
    }
    return {**old, **new, **tables}


def _names(name: str, kind: Any) -> tuple[str, ...]:
    flag = name.replace("_", "-")
    return (f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}", name)


def _several(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is str


def _kind(kind: Any) -> dict[str, Any]:
    """The click type of a field; numbers in a tuple are joined by commas, words are repeated."""
    if typing.get_origin(kind) is typing.Literal:
        return {"type": click.Choice(typing.get_args(kind))}
    if kind is bool:
        return {"default": None}
    if typing.get_origin(kind) is tuple and not _several(kind):
        return {"type": flags.Numbers()}
    if isinstance(kind, types.UnionType):
        plain = [part for part in typing.get_args(kind) if part is not type(None)]
        return _kind(plain[0]) if len(plain) == 1 else {"type": click.STRING}
    return {"type": {int: click.INT, float: click.FLOAT}.get(kind, click.STRING), "multiple": _several(kind)}


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
