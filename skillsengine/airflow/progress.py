"""A stage's progress as lines of a task's log, at a pace that people read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from skillsengine.stages.contract import Progress

_SECONDS = 15.0


class ProgressLog:
    """An observer that writes the first moment of each step, its last one, and between them a line every 15 seconds."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._step: str | None = None
        self._time, self._fraction = 0.0, 0.0

    def __call__(self, step: str, progress: Progress) -> None:
        now, fraction = self._clock(), progress.fraction
        if step == self._step and not self._worth(now - self._time, fraction):
            return
        self._step, self._time, self._fraction = step, now, fraction or 0.0
        parts = [f"{step}: {progress.text}"]
        if fraction is not None:
            parts.append(f"{fraction:.0%}")
        if progress.seconds_left:
            parts.append(f"about {time_left(progress.seconds_left)} left")
        self._log.info(" · ".join(parts))

    def _worth(self, seconds: float, fraction: float | None) -> bool:
        return seconds >= _SECONDS or (fraction is not None and fraction >= 1.0 > self._fraction)


def time_left(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
