"""What the sections share: the base of all of them, and kinds of values."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,99}$"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: Any) -> timedelta:
    """`90s`, `15m`, `6h`, `3d` -> timedelta. Raises ValueError with the allowed forms."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
    if not match:
        raise ValueError("a duration is a whole number with a unit: 90s, 15m, 6h or 3d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: timedelta(days=3) -> `3d`."""
    seconds = int(value.total_seconds())
    unit = max((u for u, size in _UNITS.items() if seconds % size == 0), key=lambda u: _UNITS[u])
    return f"{seconds // _UNITS[unit]}{unit}"


def distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    """The items. Raises ValueError, beginning with the index of the item (`[2]: `), for one that stands there twice."""
    seen = set()
    for index, item in enumerate(items):
        if item in seen:
            raise ValueError(f"[{index}]: stands in the list already. Remove one of the two")
        seen.add(item)
    return items


DISTINCT = (AfterValidator(distinct), Field(json_schema_extra={"uniqueItems": True}))
"""Of a list whose items must differ: `Annotated[tuple[str, ...], *DISTINCT]`."""
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$", examples=["talent-s3"])]


class Section(BaseModel):
    """Base of every section: closed, frozen, and its field docstrings become descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=False)
