"""Scores in words. Standard library only: lists, notes and tables of the control plane show scores too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "–"


def with_interval(metrics: Mapping[str, Any], name: str = "f1") -> str:
    """`0.550 (0.480 to 0.610)`: a score with its 95% interval; `0.550` where the evaluation told none, `–` without a score."""
    value, ends = metrics.get(name), _ends(metrics, name)
    if value is None:
        return NONE
    return f"{value:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def with_half(metrics: Mapping[str, Any], name: str = "f1") -> str:
    """`0.550 ±0.065`: the same where there is less room, with half of the interval."""
    value, ends = metrics.get(name), _ends(metrics, name)
    if value is None:
        return NONE
    return f"{value:.3f}" + (f" ±{(ends[1] - ends[0]) / 2:.3f}" if ends else "")


def _ends(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return None if low is None or high is None else (low, high)
