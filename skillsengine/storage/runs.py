"""Runs and their steps: what was asked for, how far it is, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from skillsengine.storage.database import CatalogError, Database, insert_or_find
from skillsengine.storage.models import RunRow, StepRow

RUNNING = "running"


@dataclass(frozen=True)
class OpenScore:
    """An `evaluate` step that failed or is at work."""

    step_id: str
    """`evaluate[job-skills@7 on 2026-03]`."""
    state: str
    error: str | None
    run_id: str
    run_state: str
    """Of a run whose process is gone it stays `running`."""
    trigger: str


class Runs:
    """The part of the catalog that keeps runs and steps."""

    _db: Database

    def pin_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        experiment: str,
        kind: str,
        partition: str | None,
        spec: Mapping[str, Any],
        options: Mapping[str, Any],
        trigger: str,
        spec_commit: str | None,
    ) -> RunRow:
        """The run (dag_id, run_id) as its first call described it; later calls get that, whatever they bring."""
        with self._db.writing() as session:
            row = RunRow(
                dag_id=dag_id,
                run_id=run_id,
                experiment=experiment,
                kind=kind,
                partition=partition,
                spec=dict(spec),
                options=dict(options),
                trigger=trigger,
                spec_commit=spec_commit,
                state=RUNNING,
                note="",
                error=None,
                data={},
                started=self._db.now(),
                finished=None,
            )
            return insert_or_find(session, _by_name(dag_id, run_id), row)

    def get_run(self, dag_id: str, run_id: str) -> RunRow | None:
        with self._db.reading() as session:
            return session.scalars(_by_name(dag_id, run_id)).one_or_none()

    def run_by_id(self, id: int) -> RunRow:
        """Raises CatalogError if there is no such run."""
        with self._db.reading() as session:
            return _run(session, id, locked=False)

    def finish_run(self, id: int, state: str, note: str, error: str | None = None) -> RunRow:
        """Close a run; a second call overwrites the first. Raises CatalogError if there is no such run."""
        with self._db.writing() as session:
            row = _run(session, id)
            row.state, row.note, row.error, row.finished = state, note, error, self._db.now()
            return row

    def set_run_data(self, id: int, **values: Any) -> RunRow:
        """Put small JSON values on a run, beside those it has. Raises CatalogError if there is no such run."""
        with self._db.writing() as session:
            row = _run(session, id)
            row.data = {**row.data, **values}
            return row

    def list_runs(self, experiment: str | None = None, limit: int = 20, *, kind: str | None = None) -> list[RunRow]:
        """The newest runs first; `kind`: only those that `retrain`, or `evaluations`."""
        query = select(RunRow).order_by(RunRow.id.desc()).limit(limit)
        if experiment is not None:
            query = query.where(RunRow.experiment == experiment)
        if kind is not None:
            query = query.where(RunRow.kind == kind)
        with self._db.reading() as session:
            return list(session.scalars(query))

    def start_step(self, run_id: int, step_id: str, stage: str, key: str | None, digest: str) -> StepRow:
        """An attempt of a step begins: the first makes its row, later ones count up and wipe what the last one left, but for
        the `history` of its progress, which an attempt at the same digest goes on from.

        A finished run is open again (somebody cleared its tasks). Raises CatalogError if there is no such run.
        """
        with self._db.writing() as session:
            run, now = _run(session, run_id), self._db.now()
            run.state, run.error, run.finished = RUNNING, None, None
            fresh = StepRow(run_id=run_id, step_id=step_id, attempts=0)
            _begin(fresh, stage, key, digest)
            fresh.started = fresh.updated = now
            row = insert_or_find(session, _by_step(run_id, step_id), fresh)
            _begin(row, stage, key, digest)
            row.attempts, row.started, row.updated = row.attempts + 1, now, now
            return row

    def update_step(
        self, run_id: int, step_id: str, progress: Mapping[str, Any], *, attempt: int | None = None
    ) -> None:
        """Say how far a step is; of an `attempt` that was overtaken by a newer one nothing is taken in.

        Raises CatalogError if it was never started.
        """
        with self._db.writing() as session:
            row = _step(session, run_id, step_id)
            if attempt in (None, row.attempts):
                row.progress, row.updated = dict(progress), self._db.now()

    def finish_step(
        self,
        run_id: int,
        step_id: str,
        state: str,
        seconds: float,
        summary: Mapping[str, Any],
        error: str | None = None,
        *,
        attempt: int | None = None,
    ) -> StepRow:
        """End an attempt: `state` is `done`, `cached` or `failed`; `seconds` of wall time. How an `attempt` ends that was
        overtaken by a newer one changes nothing.

        Raises CatalogError if the step was never started.
        """
        with self._db.writing() as session:
            row, now = _step(session, run_id, step_id), self._db.now()
            if attempt not in (None, row.attempts):
                return row
            row.state, row.seconds, row.summary, row.error = state, seconds, dict(summary), error
            row.updated = row.finished = now
            return row

    def history_of(self, experiment: str, digest: str) -> list[dict[str, Any]]:
        """The moments that were told while a run of the experiment made the artifact of that digest; none where nobody kept
        them."""
        # By the experiment, since digests have no index: an experiment has hundreds of steps, the catalog many thousands.
        query = (
            select(StepRow.progress)
            .join(RunRow, RunRow.id == StepRow.run_id)
            .where(RunRow.experiment == experiment, StepRow.digest == digest)
            .order_by(StepRow.id.desc())
        )
        with self._db.reading() as session:
            found = [progress.get("history") for progress in session.scalars(query)]
        return next((list(history) for history in found if history), [])

    def open_scores(self, experiment: str) -> list[OpenScore]:
        """Each `evaluate` that failed or is at work, in runs that score the experiment's versions; in the order in which they
        began."""
        query = (
            select(StepRow.step_id, StepRow.state, StepRow.error, RunRow.run_id, RunRow.state, RunRow.trigger)
            .join(RunRow, RunRow.id == StepRow.run_id)
            .where(
                RunRow.experiment == experiment,
                RunRow.kind == "evaluations",
                StepRow.stage == "evaluate",
                StepRow.state.in_(("failed", RUNNING)),
            )
            .order_by(StepRow.id)
        )
        with self._db.reading() as session:
            return [OpenScore(*row) for row in session.execute(query)]

    def steps_of(self, run_id: int) -> list[StepRow]:
        """In the order of their first start."""
        with self._db.reading() as session:
            return list(session.scalars(select(StepRow).where(StepRow.run_id == run_id).order_by(StepRow.id)))


def _begin(row: StepRow, stage: str, key: str | None, digest: str) -> None:
    history = row.progress.get("history") if row.progress and row.digest == digest else None
    row.stage, row.key, row.digest, row.state = stage, key, digest, RUNNING
    row.progress = {"history": history} if history else {}
    row.summary, row.seconds, row.error, row.finished = {}, None, None, None


def _by_name(dag_id: str, run_id: str) -> Select[RunRow]:
    return select(RunRow).where(RunRow.dag_id == dag_id, RunRow.run_id == run_id)


def _by_step(run_id: int, step_id: str) -> Select[StepRow]:
    return select(StepRow).where(StepRow.run_id == run_id, StepRow.step_id == step_id)


def _run(session: Session, id: int, *, locked: bool = True) -> RunRow:
    row = session.get(RunRow, id, with_for_update=locked)
    if row is None:
        raise CatalogError(f"the catalog has no run {id}; `skillsengine runs` lists those it has.")
    return row


def _step(session: Session, run_id: int, step_id: str) -> StepRow:
    row = session.scalars(_by_step(run_id, step_id).with_for_update()).one_or_none()
    if row is None:
        raise CatalogError(
            f"step {step_id} of run {run_id} was never started: start_step comes before its progress and end."
        )
    return row
