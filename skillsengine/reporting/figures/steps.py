"""What a run did, step by step: made, found, failed, and how long each took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skillsengine.pipeline.summaries import summary_line
from skillsengine.reporting.figures.plain import Table
from skillsengine.storage.catalog import Catalog


@dataclass(frozen=True)
class Step:
    """One step of a run."""

    step: str
    """`format[2026-03]`."""
    stage: str
    state: str
    """`running`, `done`, `cached` or `failed`."""
    seconds: float | None
    attempts: int
    told: str
    """Its main numbers, in a line."""
    error: str | None
    progress: Mapping[str, Any]
    started: datetime


@dataclass(frozen=True)
class Steps:
    """The steps of a run, in the order of their start."""

    run_id: str
    dag_id: str
    state: str
    note: str
    started: datetime
    finished: datetime | None
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Of all work that was really done."""
        return sum(step.seconds or 0.0 for step in self.steps if step.state != "cached")

    def table(self) -> Table:
        return Table(
            ("step", "state", "seconds", "attempts", "result"),
            tuple((s.step, s.state, s.seconds, s.attempts, s.error or s.told) for s in self.steps),
        )


def steps(run_pk: int, catalog: Catalog) -> Steps:
    """Of the run with that key. Raises CatalogError where there is none."""
    run = catalog.run_by_id(run_pk)
    return Steps(
        run_id=run.run_id,
        dag_id=run.dag_id,
        state=run.state,
        note=run.note,
        started=run.started,
        finished=run.finished,
        steps=tuple(
            Step(
                step=row.step_id,
                stage=row.stage,
                state=row.state,
                seconds=row.seconds,
                attempts=row.attempts,
                told=summary_line(row.stage, row.summary) if row.summary else "",
                error=row.error,
                progress=row.progress,
                started=row.started,
            )
            for row in catalog.steps_of(run_pk)
        ),
    )
