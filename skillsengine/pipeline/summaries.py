"""What a stage's summary says, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TOLD = {
    "format": ("rows", "rejected", "skills"),
    "profile": ("max_length", "longest", "rows_cut", "tokens"),
    "finetune": ("steps", "train_loss", "validation_loss", "tokens_per_second", "peak_memory_gb", "resumed_from_step"),
    "select": ("trial", "trials", "diverged", "validation_loss", "validation_f1"),
    "evaluate": ("rows", "precision", "recall", "f1", "parse_rate"),
    "register": ("version",),
}
"""What of a stage's summary fits a line; the rest stands in the artifact's manifest."""


def summary_line(stage: str, summary: Mapping[str, Any]) -> str:
    """The main numbers of a stage's summary in one line."""
    parts = []
    for name in _TOLD[stage]:
        value = summary.get(name)
        if value is not None and (value or name != "resumed_from_step"):
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            parts.append(f"{name.replace('_', ' ')} {shown}")
    return " · ".join(parts)
