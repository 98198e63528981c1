"""Figures as JSON, and as tables that become CSV: what people download."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, TypeVar

from markupsafe import Markup

from skillsengine.storage.store import StoreError

T = TypeVar("T")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula, or is passed over before one; the last four are the first four in full width, as East Asian
spreadsheets take them."""


class FigureMissing(Exception):
    """A figure cannot be made: what it needs was never measured, or is gone. The text says which, and how to mend it."""


@dataclass(frozen=True)
class Missing:
    """What stands in place of a figure that cannot be made."""

    why: str


def or_missing(make: Callable[[], T]) -> T | Missing:
    """A figure that needs the store, which may not be seen from here, or which has lost what is asked for."""
    try:
        return make()
    except (FigureMissing, StoreError, FileNotFoundError) as error:
        return Missing(str(error))


@dataclass(frozen=True)
class Table:
    """A figure's numbers, as a table beside its picture."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """Text, numbers and None, a value for each column."""

    def csv(self) -> str:
        """RFC 4180. A text that a spreadsheet would take for a formula has an apostrophe before it: ads are foreign text."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([_cell(name) for name in self.columns])
        writer.writerows([_cell(value) for value in row] for row in self.rows)
        return out.getvalue()


def _cell(value: Any) -> Any:
    value = plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def plain(value: Any) -> Any:
    """Any figure as JSON data: dataclasses become objects, times ISO texts; a number that JSON does not know becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def to_json(value: Any) -> str:
    """A figure as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def script_json(value: Any) -> Markup:
    """A figure as JSON that may stand inside `<script type="application/json">`: nothing in it ends the element or begins a
    comment."""
    text = to_json(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
