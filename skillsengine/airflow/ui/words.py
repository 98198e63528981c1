"""Times in words, beside what `reporting.render` has."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((365 * 86400, "y"), (30 * 86400, "mo"), (86400, "d"), (3600, "h"), (60, "min"))


def ago(when: datetime, now: datetime) -> str:
    """`3 h ago`, `in 2 d`, `just now`."""
    seconds = (now - when).total_seconds()
    told = next((f"{int(abs(seconds) // length)} {unit}" for length, unit in _UNITS if abs(seconds) >= length), None)
    if told is None:
        return "just now" if seconds >= 0 else "now"
    return f"{told} ago" if seconds >= 0 else f"in {told}"


def minutes(seconds: float) -> str:
    """Seconds as minutes: `0.4`, `12`, `1,204`."""
    value = seconds / 60
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:,.0f}"
