"""Names of values (torch module paths) as C identifiers: readable, legal and different from each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from arithmos.errors import UsageError

LONGEST = 56
"""C99 tells two internal identifiers apart by 63 characters; the rest is for our prefixes and suffixes."""

NAME_LONGEST = 24

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if inline int long
        register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
        main asm bool true false class template new delete this namespace operator typeof errno NULL
        int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t INT64_C""",
    )
)
"""Words that mean something in C, in C++ (somebody will include the header there), or in <stdint.h>."""


def identifiers(names: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """{name: identifier}: every character C does not have becomes '_'; clashes get a number.

    A name that C or the generated code itself uses gets the suffix _value; a very long one keeps its ends and a digest.
    """
    taken = set(reserved) | KEYWORDS
    result: dict[str, str] = {}
    for name in names:
        stem = identifier(name)
        if stem in taken and stem not in result.values():
            stem += "_value"
        free, number = stem, 1
        while free in taken:
            number += 1
            free = f"{stem}_{number}"
        taken.add(free)
        result[name] = free
    return result


def identifier(name: str) -> str:
    """The name with '_' for what C does not have, at most LONGEST characters."""
    text = re.sub(r"[^0-9A-Za-z_]", "_", name)
    if not text or text[0].isdigit() or text.startswith(("_", "compute_")):  # C's own, and our functions
        text = f"v{text}"
    if len(text) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        text = f"{text[:24]}_{digest}_{text[-22:]}"
    return text


def checked_name(name: str) -> str:
    """The prefix of everything the C program defines, if it can be one. Raises UsageError."""
    fits = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and len(name) <= NAME_LONGEST
    if not fits or name in KEYWORDS | {"golden"}:
        raise UsageError(
            f"'{name}' cannot name a C network",
            why="it becomes the prefix of C identifiers and the name of files",
            fix=f"give a word of letters, digits and '_' that starts with a letter, at most {NAME_LONGEST} characters",
        )
    return name


def comment(text: str) -> str:
    """The text as it can stand inside a C comment: one line, ASCII, no comment marks, no trigraphs."""
    plain = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\")
