"""What the commands share: the consoles, plain errors, and progress for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from skillsengine.draft.errors import DraftError
from skillsengine.modeling.errors import ModelError
from skillsengine.pipeline.backup import BackupError
from skillsengine.pipeline.committed import CommitError
from skillsengine.pipeline.plan import PlanError
from skillsengine.reporting.figures.plain import FigureMissing
from skillsengine.reporting.report import ReportError
from skillsengine.settings import Settings, SettingsError, load_settings
from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.spec.errors import SpecError
from skillsengine.stages.contract import Progress, StageError
from skillsengine.storage.catalog import CatalogError, CatalogUnavailable, LeaseHeld, LeaseLost
from skillsengine.storage.store import StoreError
from skillsengine.tracking.hub import PushError

# Without emoji, whose table would be a file to open where no more can be opened; and a text stays as it is.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

USER_ERRORS: tuple[type[Exception], ...] = (
    SettingsError,
    SpecError,
    PlanError,
    CommitError,
    DraftError,
    SourceError,
    SourceUnavailable,
    StageError,
    FigureMissing,
    ReportError,
    ModelError,
    StoreError,
    BackupError,
    PushError,
    CatalogError,
    CatalogUnavailable,
    LeaseHeld,
    LeaseLost,
)
"""What is a user's or the machine's doing: shown as its text, without a traceback."""


_WIDE = 10_000
"""Columns for what nobody's window limits."""


def print_table(table: RenderableType, console: Console = out) -> None:
    """Print a table: its cells fold in a terminal, and are whole where the output goes into a file or another program."""
    if console.is_terminal:
        console.print(table, soft_wrap=False)
    else:
        print_whole(table, console)


def print_whole(drawing: RenderableType, console: Console = out) -> None:
    """Print lines as long as they are, in a terminal too, which wraps them: a path that is cut off cannot be copied."""
    Console(highlight=False, soft_wrap=True, emoji=False, width=_WIDE, stderr=console.stderr).print(drawing)


def settings_for(spec: Path | None = None) -> Settings:
    """The settings of the project that a spec file stands in, or of the current folder."""
    if spec is not None:
        for folder in spec.resolve().parents:
            if folder.name == "experiments":
                return load_settings(folder.parent)
    return load_settings()


def fail(text: str) -> typer.Exit:
    """Print an error and give back what to raise."""
    err.print("[bold red]error:[/] ", end="")
    err.print(text, markup=False)
    return typer.Exit(1)


def seconds_text(seconds: float) -> str:
    """`42 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress_line(progress: Progress) -> str:
    """One moment of a stage as one line: text, share, what is left."""
    parts = [progress.text]
    if progress.fraction is not None and progress.fraction < 1:
        parts.append(f"{progress.fraction:.0%}")
    if progress.seconds_left:
        parts.append(f"{seconds_text(progress.seconds_left)} left")
    return " · ".join(parts)


def line_observer(every: float = 10.0) -> Callable[[str, Progress], None]:
    """Prints a step's progress at a human pace: at most one line each `every` seconds, and its last one."""
    last = {"": 0.0}

    def observe(step: str, progress: Progress) -> None:
        now = time.monotonic()
        if now - last.get(step, 0.0) < every and progress.fraction != 1.0:
            return
        last[step] = now
        out.print(Text.assemble("  ", (step, "dim"), f" {progress_line(progress)}"))

    return observe
