"""A pickle read as data: numpy arrays and plain values; nothing is called, and all else is refused by name.

The reader walks the opcodes and builds dicts, lists, strings, numbers and arrays of numbers itself. Python's own
unpickler takes no part, so no file can run code.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from arithmos.errors import UsageError

_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class _Name(str):
    """What a pickle refers to by module and name. A class: no string of the file may pass for one."""


class _Type:
    """A numpy dtype under construction."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in _NUMBERS:
            raise _Refused(f"numpy arrays of kind '{code}'")
        self._code, self._order = code, "="

    def build(self, state: tuple[Any, ...]) -> None:
        """The byte order is the second item of numpy's state."""
        self._order = {"<": "<", ">": ">"}.get(state[1], "=")

    @property
    def value(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._code)


class _Array:
    """A numpy array under construction."""

    value = np.zeros(0)

    def __init__(self, *_: Any) -> None:
        pass

    def build(self, state: tuple[Any, ...]) -> None:
        """numpy's state: version, shape, type, is Fortran-ordered, bytes."""
        _, shape, kind, fortran, raw = state
        data = raw.encode("latin-1") if isinstance(raw, str) else raw  # Python 2 kept bytes as strings
        self.value = np.frombuffer(data, kind.value).reshape(shape, order="F" if fortran else "C")


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"text encoded as {encoding}")
    return text.encode("latin-1")


class _Refused(Exception):
    """Something a pickle of plain data does not hold."""


_BUILT: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "numpy.core.multiarray _reconstruct": _Array,
        "numpy._core.multiarray _reconstruct": _Array,
        "numpy dtype": _Type,
        "_codecs encode": _encoded,  # how Python 3 writes bytes for Python 2
    }
)
"""What may be built, and by what of ours; "numpy ndarray" may only be mentioned."""


def read_plain(data: bytes, where: str) -> dict[str, Any]:
    """The dict in a pickle: str (Python 2 strings as latin-1), int, float, bytes, list, tuple, dict, numpy arrays.

    where: names the pickle in messages. Raises UsageError where it is cut off, damaged or no dict, and where it refers
    to any other type or function, which it names.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # pickletools warns of escapes in damaged strings
            found = _machine(data)
    except _Refused as refused:
        raise UsageError(
            f"the pickle holds {refused}",
            where=where,
            why="only numbers, strings, lists, dicts and numpy arrays of numbers are read: other objects can run code",
            fix="fetch the original archive; if this is it, do not open it elsewhere either",
        ) from None
    except _DAMAGE as problem:
        raise UsageError(
            "the pickle cannot be read",
            where=where,
            why=f"it is cut off or damaged: {(str(problem) or type(problem).__name__).splitlines()[0]}",
            fix="fetch it again",
        ) from problem
    if not isinstance(found, dict):
        raise UsageError(
            f"the pickle holds a {type(found).__name__}", where=where, why="a dict is read", fix="check --data-dir"
        )
    return {str(key): item.value if isinstance(item, _Array) else item for key, item in found.items()}


def _machine(data: bytes) -> Any:
    """The value that the opcodes leave; raises _Refused for an opcode or a name that plain data does not need."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                since_mark()
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case name if name in _LITERALS:
                stack.append(argument)
            case "EMPTY_DICT" | "DICT":
                pairs = since_mark() if opcode.name == "DICT" else []
                stack.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))
            case "EMPTY_LIST" | "LIST":
                stack.append(since_mark() if opcode.name == "LIST" else [])
            case "EMPTY_TUPLE" | "TUPLE":
                stack.append(tuple(since_mark()) if opcode.name == "TUPLE" else ())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(opcode.name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "APPEND":
                item = stack.pop()
                _checked(stack[-1], list).append(item)
            case "APPENDS":
                items = since_mark()
                _checked(stack[-1], list).extend(items)
            case "SETITEM":
                key, item = stack[-2:]
                del stack[-2:]
                _checked(stack[-1], dict)[key] = item
            case "SETITEMS":
                pairs = since_mark()
                _checked(stack[-1], dict).update(zip(pairs[::2], pairs[1::2], strict=True))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_admitted(argument))
            case "STACK_GLOBAL":
                module, attribute = stack[-2:]
                stack[-2:] = [_admitted(f"{module} {attribute}")]
            case "REDUCE":
                arguments = _checked(stack.pop(), tuple)
                name = _checked(stack.pop(), _Name)
                if name not in _BUILT:
                    raise _Refused(f"a call of {name.replace(' ', '.')}")
                stack.append(_BUILT[name](*arguments))
            case "BUILD":
                state = _checked(stack.pop(), tuple)
                _checked(stack[-1], (_Array, _Type)).build(state)
            case other:
                raise _Refused(f"the instruction {other}")
    raise ValueError("it has no end")


_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
"""Opcodes that are a value."""


def _admitted(name: str) -> _Name:
    if name not in _BUILT and name != "numpy ndarray":
        raise _Refused(f"a reference to {name.replace(' ', '.')}")
    return _Name(name)


def _checked(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} stands where it cannot")
    return value
