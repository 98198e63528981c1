"""Runs that fill missing cells of the matrix: those that are at it, and new ones.

They are runs of `<name>.evaluations` that name their cells, as `skillsengine backfill --airflow` starts them, and not Airflow's
own backfill: that makes a run of each partition, with the versions that the spec names, so that it can neither fill one
version's past nor load a base once for many cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun, DagRunNote
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.trigger import trigger
from skillsengine.pipeline.filling import Pair, asked_of_runs
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Experiment

_ACTIVE = ("queued", "running")


@dataclass(frozen=True)
class FillRun:
    """A run of the evaluations DAG."""

    run_id: str
    state: str
    since: datetime | None
    """When it started, or since when it is queued."""
    finished: datetime | None
    pairs: frozenset[Pair]
    """What it was asked for, cell by cell; empty of a run of one partition."""
    note: str

    @property
    def active(self) -> bool:
        return self.state in _ACTIVE


@dataclass(frozen=True)
class Fills:
    """What Airflow knows of the evaluations DAG, at one moment."""

    dag_id: str
    missing: bool
    """Airflow does not have the DAG, or no longer."""
    paused: bool
    active: Sequence[FillRun]
    """Oldest first; of every kind."""
    last: FillRun | None
    """The newest run."""
    mark: int
    """Tells this moment from that after another run was made."""

    @property
    def under_way(self) -> frozenset[Pair]:
        """Cells that some run is at already."""
        return frozenset(pair for run in self.active for pair in run.pairs)

    def at(self, pairs: Sequence[Pair]) -> FillRun | None:
        """The run that is at one of the cells."""
        return next((run for run in self.active if not run.pairs.isdisjoint(pairs)), None)


def fills(name: str, session: Any) -> Fills:
    """Two queries. The runs are those of one moment: who starts another one relies on it."""
    dag_id = f"{name}.evaluations"
    dag = session.execute(select(DagModel.is_paused, DagModel.is_stale).where(DagModel.dag_id == dag_id)).one_or_none()
    newest = select(func.max(DagRun.id)).where(DagRun.dag_id == dag_id).scalar_subquery()
    query = (
        select(
            DagRun.id,
            DagRun.run_id,
            DagRun.state,
            DagRun.start_date,
            DagRun.queued_at,
            DagRun.run_after,
            DagRun.end_date,
            DagRun.conf,
            DagRunNote.content,
        )
        .outerjoin(DagRunNote, DagRunNote.dag_run_id == DagRun.id)
        .where(DagRun.dag_id == dag_id, or_(DagRun.state.in_(_ACTIVE), DagRun.id == newest))
        .order_by(DagRun.id)
    )
    rows = session.execute(query).all()
    runs = [_run(row) for row in rows]
    return Fills(
        dag_id,
        missing=dag is None or bool(dag.is_stale),
        paused=dag is not None and bool(dag.is_paused),
        active=[run for run in runs if run.active],
        last=runs[-1] if runs else None,
        mark=rows[-1].id if rows else 0,
    )


def _run(row: Any) -> FillRun:
    state = str(getattr(row.state, "value", row.state))
    conf = row.conf if isinstance(row.conf, dict) else {}
    since = row.start_date or row.queued_at or row.run_after
    return FillRun(row.run_id, state, since, row.end_date, _pairs(conf), row.content or "")


def _pairs(conf: Mapping[str, Any]) -> frozenset[Pair]:
    """What the form of a run was filled in with (`asked_of_runs`), whoever wrote it."""
    cells = [each.partition("@") for each in _texts(conf.get("cells"))]
    if not cells and not conf.get("partition"):
        cells = [(each, "@", STATIC_KEY) for each in _texts(conf.get("versions"))]
    return frozenset((int(number), key) for number, _, key in cells if number.isdecimal() and len(number) < 10)


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


@dataclass(frozen=True)
class Filled:
    """What came of the wish to fill cells."""

    created: Sequence[str]
    """Ids of the runs that were made."""
    already: str | None
    """The run that is at it, where nothing was made."""


def fill(access: Access, experiment: Experiment, runs: Sequence[Sequence[Pair]], now: Fills, note: str) -> Filled:
    """Create the runs, each of a bounded list of cells. The caller has asked whether the user may, and left out what is under
    way in `now`.

    Two requests at the same moment create nothing twice: the ids are made of what both have seen and what both ask for, and
    Airflow's database takes an id once. Raises HTTPException 409 where Airflow does not have the DAG, 422 for what its form
    refuses.
    """
    created: list[str] = []
    for pairs, asked in zip(runs, asked_of_runs(experiment, runs), strict=True):
        told = sha256(repr(sorted(pairs)).encode()).hexdigest()[:12]
        run_id = f"manual__matrix__{now.mark}__{told}"
        try:
            created.append(trigger(access, now.dag_id, asked, run_id=run_id, note=note))
        except IntegrityError:
            access.session.rollback()
            return Filled(created, already=run_id)
    return Filled(created, None)
