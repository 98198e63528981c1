"""The newest runs of an experiment, stage by stage: what was found, what was made, what failed, and the minutes it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skillsengine.airflow.ui.known import DagRunFacts, runs_of
from skillsengine.storage.catalog import Catalog, RunRow, StepRow

SHOWN = 10
_ALWAYS = ("format", "profile", "finetune", "evaluate", "register")
_ORDER = ("format", "profile", "finetune", "select", "evaluate", "register")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Stage:
    """What a run did in one stage."""

    name: str
    state: str
    """`cached`, `done`, `running`, `failed`, `stopped` (its process is gone), or empty where it was not reached."""
    seconds: float
    """Of the work that was really done."""
    steps: int
    cached: int
    text: str
    """While it runs: where it is. Of a failed one: what it said."""


@dataclass(frozen=True)
class RunView:
    """One run."""

    run_id: str
    dag_id: str
    state: str
    trigger: str
    partition: str | None
    note: str
    started: datetime | None
    finished: datetime | None
    stages: tuple[Stage, ...]
    """Empty of a run that never reached the catalog."""
    verdict: str | None
    reason: str
    in_airflow: bool
    pk: int | None
    """Its key in the catalog."""

    @property
    def seconds(self) -> float | None:
        """From start to end."""
        if self.started is None or self.finished is None:
            return None
        return (self.finished - self.started).total_seconds()


def newest(catalog: Catalog, session: Any, experiment: str, dag_id: str, kind: str) -> list[RunView]:
    """The newest first. Runs that failed before their first task could pin them, and those that wait, are Airflow's alone."""
    rows = catalog.list_runs(experiment, limit=SHOWN, kind=kind)
    steps = catalog.steps_of_runs([row.id for row in rows])
    airflow = {run.run_id: run for run in runs_of(session, dag_id, SHOWN)}
    views = [_view(row, steps[row.id], airflow.get(row.run_id)) for row in rows]
    known = {row.run_id for row in rows}
    views += [_of_airflow(run) for run in airflow.values() if run.run_id not in known]
    return sorted(views, key=lambda view: view.started or _BEGINNING, reverse=True)[:SHOWN]


def _view(row: RunRow, steps: Sequence[StepRow], run: DagRunFacts | None) -> RunView:
    state, finished = row.state, row.finished
    if state == "running" and run is not None and run.state in ("success", "failed"):
        state, finished = run.state, run.finished  # nobody was left to close it in the catalog
    gate: Mapping[str, Any] = row.data.get("gate") or {}
    return RunView(
        run_id=row.run_id,
        dag_id=row.dag_id,
        state=state,
        trigger=row.trigger,
        partition=row.partition,
        note=row.note,
        started=row.started,
        finished=finished,
        stages=stages_of(steps, running=state == "running") if row.kind == "retrain" else (),
        verdict=gate.get("verdict"),
        reason=str(gate.get("reason", "")),
        in_airflow=row.trigger != "cli",
        pk=row.id,
    )


def _of_airflow(run: DagRunFacts) -> RunView:
    return RunView(
        run_id=run.run_id,
        dag_id=run.dag_id,
        state=run.state,
        trigger="",
        partition=run.partition,
        note=run.note,
        started=run.since,
        finished=run.finished,
        stages=(),
        verdict=None,
        reason="",
        in_airflow=True,
        pk=None,
    )


def stages_of(steps: Iterable[StepRow], *, running: bool) -> tuple[Stage, ...]:
    """In the order of the pipeline; `running` says whether the run still goes on."""
    found: dict[str, list[StepRow]] = {name: [] for name in _ALWAYS}
    for step in steps:
        found.setdefault(step.stage, []).append(step)
    if "select" in found:
        # It is reached only where every other trial is done: those that failed have diverged, which is an outcome.
        found["finetune"] = [step for step in found["finetune"] if step.state != "failed"]
    return tuple(_stage(name, found[name], running) for name in _ORDER if name in found)


def _stage(name: str, steps: Sequence[StepRow], running: bool) -> Stage:
    states = [step.state for step in steps]
    if not steps:
        state = ""
    elif "failed" in states:
        state = "failed"
    elif "running" in states:
        state = "running" if running else "stopped"
    else:
        state = "cached" if set(states) == {"cached"} else "done"
    told = next((step for step in steps if step.state == state), None)
    text = ""
    if told is not None and state == "running":
        text = str(told.progress.get("text", ""))
    if told is not None and state == "failed":
        text = told.error or ""
    seconds = sum(step.seconds or 0.0 for step in steps if step.state != "cached")
    return Stage(name, state, seconds, len(steps), states.count("cached"), text)
