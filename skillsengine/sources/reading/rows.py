"""One row of a file as it stands there, or why it cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_ROW = 16 << 20
"""Bytes of the longest row that is read: 16 MiB, about eight novels. A longer one is passed over and counted."""
EXCERPT = 200
"""Characters of a rejected row that are kept."""

NOT_UTF8 = "not UTF-8"
NUL = "NUL bytes"
NUL_DETAIL = "a part of the file was never written"
TOO_LONG = "the row is too long"
TOO_DEEP = "nested too deep"
TOO_LONG_DETAIL = f"over {MAX_ROW >> 20} MB; it was passed over unread"

# A string that has no end.
_OPEN = re.compile(r'"(?:[^"\\]++|\\.)*+\\?', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Note = Callable[[str], None]
"""Told once about what a reader found out by itself, such as a CSV whose cells are separated by semicolons."""


class RowError(Exception):
    """One row cannot be used; `reason` is the kind of mistake, one of few, `detail` what it is in this row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row. Either `values` is there, or `reason` says why not."""

    file: str
    """The file's name without its folders."""
    place: int
    """From 1: the line that the row begins in; in Parquet and in JSON lists, the number of the row."""
    values: dict[str, Any] | None
    """Column -> value: JSON's types; from CSV strings; from Parquet also dates, times, decimals and bytes."""
    reason: str | None = None
    detail: str = ""
    excerpt: str = ""
    """The beginning of what stands there, where `values` is None."""


def rejected(file: str, place: int, error: RowError, excerpt: str = "") -> RawRow:
    """The row that `error` is about."""
    return RawRow(file, place, None, error.reason, error.detail, legal(excerpt[:EXCERPT]))


def legal(text: str) -> str:
    """`text` as it can be written: half a surrogate pair (`\\ud83d` alone) is legal JSON and becomes U+FFFD."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def shown(text: str) -> str:
    """`text` for people: what cannot be printed is written as `\\x00`."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in legal(text))


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises RowError for anything else."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if "\0" in text:
            raise RowError(NUL, NUL_DETAIL) from error
        if text.lstrip().startswith("{") and (error.pos >= len(text.rstrip()) or _OPEN.fullmatch(text, error.pos)):
            raise RowError("not JSON", "it ends before its object does") from error
        # Not error.msg: its words differ between versions of Python, and an artifact must not.
        raise RowError("not JSON", f"unreadable at character {error.pos + 1}") from error
    except RecursionError as error:
        raise RowError("not JSON", TOO_DEEP) from error
    except ValueError as error:
        raise RowError("not JSON", "a number of thousands of digits") from error
    return as_object(value)


def as_object(value: Any) -> dict[str, Any]:
    """`value` if it is an object. Raises RowError."""
    if not isinstance(value, dict):
        raise RowError("not a JSON object", f"it is {kind(value)}")
    return value


def kind(value: Any) -> str:
    """A value's type in words."""
    names = {bool: "true or false", str: "a string", list: "a list", dict: "an object", type(None): "null"}
    numbers = {int: "a number", float: "a number"}
    return (names | numbers).get(type(value), f"a {type(value).__name__}")


def bad_byte(raw: bytes, start: int) -> RowError:
    """`raw` is not UTF-8 from its byte `start` (from 0) on."""
    return RowError(NOT_UTF8, f"byte {raw[start]:#04x} at position {start + 1}")
