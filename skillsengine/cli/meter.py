"""How far a command is, on standard error: a bar in a terminal, elsewhere plain lines at a human pace."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from skillsengine.cli.console import err, progress_line, seconds_text
from skillsengine.stages.contract import Progress

EVERY = 15.0
"""Seconds between two plain lines."""


class Meter:
    """Counts things that are done one after the other, with their rate and the time left.

    `what` is one of the things, `bar`: whether a bar may be drawn (not where the things themselves go to the same terminal).
    """

    def __init__(self, what: str, *, bar: bool = True, console: Console = err) -> None:
        self.done = 0
        self._what, self._console = what, console
        self._bar = (
            Bar(BarColumn(), TextColumn("{task.description}"), console=console, transient=True, redirect_stdout=False)
            if bar and console.is_terminal
            else None
        )
        self._task = self._bar.add_task("", total=None) if self._bar else None
        self._quiet = console.is_terminal and not bar
        self._started = self._told = time.monotonic()
        self._first: float | None = None

    def __enter__(self) -> Self:
        self._started = self._told = time.monotonic()
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def one(self, share: float | None) -> None:
        """One more is done; `share` of the whole is (0 to 1)."""
        self.done += 1
        # What an earlier run has done took no time now.
        self._first = share if self._first is None else self._first
        now = time.monotonic()
        if self._bar is None and (self._quiet or now - self._told < EVERY):
            return
        self._told = now
        line = self._line(share, now - self._started)
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=line, total=None if share is None else 1.0, completed=share or 0.0)
        else:
            self._console.print(Text(line))

    def total(self) -> str:
        """`128 ads in 42 s · 3.05 a second`."""
        seconds = time.monotonic() - self._started
        return f"{self._count} in {seconds_text(seconds)} · {self.done / max(seconds, 1e-9):.2f} a second"

    @property
    def _count(self) -> str:
        return f"{self.done} {self._what}" if self.done == 1 else f"{self.done} {self._what}s"

    def _line(self, share: float | None, seconds: float) -> str:
        gained = None if share is None else share - (self._first or 0.0)
        left = seconds * (1 - share) / gained if share is not None and gained else None
        text = f"{self._count} · {self.done / max(seconds, 1e-9):.2f} a second"
        return progress_line(Progress(text, share, left))
