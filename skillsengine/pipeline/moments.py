"""The course of a training as the catalog keeps it beside the newest numbers: what a page draws while it goes on, and
afterwards the speed, which stands in no artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HISTORY = "history"
"""Its name in a step's progress."""
KEPT = ("train/loss", "train/learning_rate", "train/tokens_per_second", "eval/loss", "eval/f1")
MOST = 240
"""Moments that are kept; a chart is no wider. Beyond it every second one is dropped, but no evaluation."""
_DIGITS = 5


class Moments:
    """Grows by one entry a logged step: {"step", and those of `KEPT` that were told}."""

    def __init__(self, kept: Iterable[Mapping[str, Any]] = ()) -> None:
        self._entries = [dict(entry) for entry in kept]

    def add(self, step: int | None, metrics: Mapping[str, float]) -> None:
        """Take in what was told at a step. One that goes back wipes what a killed attempt did after its checkpoint."""
        told = {name: _rounded(metrics[name]) for name in KEPT if name in metrics}
        if step is None or not told:
            return
        last = self._entries[-1] if self._entries else None
        if last is not None and last["step"] == step and not any(name in last for name in told):
            last.update(told)
            return
        self._entries = [entry for entry in self._entries if entry["step"] < step]
        self._entries.append({"step": step, **told})
        if len(self._entries) > MOST:
            self._thin()

    def as_json(self) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self._entries]

    def _thin(self) -> None:
        *older, newest = self._entries
        self._entries = [entry for place, entry in enumerate(older) if place % 2 == 0 or "eval/loss" in entry]
        self._entries.append(newest)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
