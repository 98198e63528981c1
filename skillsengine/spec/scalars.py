"""Plain scalars after YAML 1.2's core schema, and how a value is shown in an error text.

YAML 1.1, which PyYAML resolves by, reads `no` as false, `12:30:00` as 45000, `1_000` as 1000, `010` as 8 and `2e-4` as
text. Here a scalar is what it looks like, and dates stay text (the schema makes a date of it where it wants one).
"""

from __future__ import annotations

import math
import re

from skillsengine.masking import mask
from skillsengine.spec.source import Broken, Node, Scalar

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {
    text: value for value, word in ((True, "true"), (False, "false")) for text in (word, word.title(), word.upper())
}
# An integer of more digits than any field takes is read as a float: converting megabytes of digits is slow.
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONE = re.compile("[\ud800-\udfff]")
_MAX_SHOWN = 60


def resolve(text: str) -> Scalar:
    """The value of a scalar written without quotes. Infinite and undefined numbers come back as such."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def complaint(value: Scalar) -> tuple[str, str] | None:
    """(why a scalar cannot stand in a spec, the mend), or None: it must survive the way through JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number", "write it in quotes if it is meant as text"
    if isinstance(value, str) and _LONE.search(value):
        return "holds half a character (a lone surrogate)", "write the character itself"
    return None


def found(value: Scalar | Broken | dict[str, Node] | list[Node]) -> str:
    """What stands there, in words: `the text "abc"` in backquotes, `3`, `a list`."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text `{shorten(value)}`" if value else "an empty text"
    return repr(value)


def shorten(text: str) -> str:
    """`text` on one line, at most 60 characters, with secrets masked."""
    text = mask("".join(c if c.isprintable() else " " for c in text[:2000]))
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
