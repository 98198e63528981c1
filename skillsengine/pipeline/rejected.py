"""Rows of a partition that `format` could not use, for people: how many, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHOWN = 3


def counts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of a summary of `format` {"rows": usable ones, "rejected", "reasons": {reason: count}}."""
    return {name: summary[name] for name in ("rows", "rejected", "reasons")}


def describe(counted: Mapping[str, Any]) -> str:
    """`3 of 120 rows rejected (not JSON: 2, the text is empty: 1)`; empty where none was."""
    if not counted["rejected"]:
        return ""
    most = sorted(counted["reasons"].items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{reason}: {count:,}" for reason, count in most[:_SHOWN]] + ["…"] * (len(most) > _SHOWN)
    total = counted["rows"] + counted["rejected"]
    return f"{counted['rejected']:,} of {total:,} rows rejected ({', '.join(shown)})"
