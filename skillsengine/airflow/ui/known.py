"""What Airflow's database knows of experiments: their DAGs, the problems of their specs, their newest runs.

Each function is one query. Experiments are found by the tags that every retrain DAG of ours has (`airflow.dag`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagcode import DagCode
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.errors import ParseImportError
from airflow.models.team import dag_bundle_team_association_table
from sqlalchemy import func, or_, select

from skillsengine.spec.schema import NAME_PATTERN

_TAGS = ("skillsengine", "retrain")
_OURS = "spec: "
"""How the import error of a spec begins (`airflow.dagfile`)."""
_CHAIN = "\n\nThe above exception was the direct cause of the following exception:"
_SUFFIX = re.compile(r"\.ya?ml\.py$|\.py$", re.IGNORECASE)
_MOST_CHARS = 20_000


@dataclass(frozen=True)
class ExperimentDag:
    """The retrain DAG of an experiment."""

    dag_id: str
    owners: tuple[str, ...]
    description: str
    schedule: str
    """In words, as Airflow shows it; empty where there is none."""
    paused: bool
    gone: bool
    """Its spec was taken away; its history stays."""
    next_run: datetime | None
    """When Airflow would start it next; also of a paused one."""
    next_key: str | None
    """The partition that this run is of."""


@dataclass(frozen=True)
class SpecProblem:
    """Why a spec does not compile, or its DAG file does not load."""

    name: str
    """Of the experiment, or the file's where that is no name."""
    text: str
    """Position, excerpt and caret, in lines."""
    has_dag: bool
    """Whether its last good DAG stays."""
    team: str | None = None
    """That the bundle of its file belongs to, in an Airflow of several teams."""

    @property
    def headline(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def named(self) -> bool:
        return re.fullmatch(NAME_PATTERN, self.name) is not None


@dataclass(frozen=True)
class DagRunFacts:
    """A run as Airflow has it."""

    dag_id: str
    run_id: str
    state: str
    partition: str | None
    since: datetime | None
    """When it started, or since when it is queued."""
    finished: datetime | None
    note: str


def experiment_dags(session: Any, name: str | None = None) -> dict[str, ExperimentDag]:
    """By name, all of them or the one that is asked for."""
    query = select(
        DagModel.dag_id,
        DagModel.owners,
        DagModel.description,
        DagModel.timetable_description,
        DagModel.timetable_summary,
        DagModel.is_paused,
        DagModel.is_stale,
        DagModel.next_dagrun_create_after,
        DagModel.next_dagrun_partition_key,
    ).where(*(_tagged(tag) for tag in _TAGS))
    if name is not None:
        query = query.where(DagModel.dag_id == name)
    return {row.dag_id: _dag(row) for row in session.execute(query) if re.fullmatch(NAME_PATTERN, row.dag_id)}


def _tagged(tag: str) -> Any:
    return DagModel.dag_id.in_(select(DagTag.dag_id).where(DagTag.name == tag))


def _dag(row: Any) -> ExperimentDag:
    schedule = row.timetable_description or row.timetable_summary or ""
    return ExperimentDag(
        dag_id=row.dag_id,
        owners=tuple(dict.fromkeys(owner.strip() for owner in (row.owners or "").split(",") if owner.strip())),
        description=row.description or "",
        schedule="" if schedule.startswith("Never") or schedule == "None" else schedule,
        paused=bool(row.is_paused),
        gone=bool(row.is_stale),
        next_run=row.next_dagrun_create_after,
        next_key=row.next_dagrun_partition_key,
    )


def spec_problems(session: Any, name: str | None = None) -> list[SpecProblem]:
    """Those of specs, and those of DAG files that hold a DAG of ours."""
    files = select(DagModel.relative_fileloc).where(*(_tagged(tag) for tag in _TAGS))
    teams = dag_bundle_team_association_table.c
    query = (
        select(ParseImportError.filename, ParseImportError.stacktrace, teams.team_name)
        .outerjoin(dag_bundle_team_association_table, teams.dag_bundle_name == ParseImportError.bundle_name)
        .where(or_(ParseImportError.stacktrace.like(f"{_OURS}%"), ParseImportError.filename.in_(files)))
    )
    found = [_problem(row.filename or "", row.stacktrace or "", row.team_name) for row in session.execute(query)]
    return sorted((each for each in found if name in (None, each.name)), key=lambda each: each.name)


def _problem(filename: str, stacktrace: str, team: str | None) -> SpecProblem:
    text, chained, rest = stacktrace.partition(_CHAIN)
    if not chained:
        rest = stacktrace
    name = _SUFFIX.sub("", PurePosixPath(filename).name)
    shown = text.removeprefix(_OURS).strip()[:_MOST_CHARS]
    return SpecProblem(name, shown, "the last good DAG stays" in rest, team)


def newest_runs(session: Any, dag_ids: Collection[str]) -> dict[str, DagRunFacts]:
    """By DAG. A run that failed before its first task could pin it stands in Airflow alone."""
    newest = select(func.max(DagRun.id)).where(DagRun.dag_id.in_(dag_ids)).group_by(DagRun.dag_id)
    return {row.dag_id: _run(row) for row in session.execute(_runs().where(DagRun.id.in_(newest)))}


def runs_of(session: Any, dag_id: str, limit: int) -> list[DagRunFacts]:
    """The newest first."""
    query = _runs().where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(limit)
    return [_run(row) for row in session.execute(query)]


def _runs() -> Any:
    return select(
        DagRun.dag_id,
        DagRun.run_id,
        DagRun.state,
        DagRun.partition_key,
        DagRun.start_date,
        DagRun.queued_at,
        DagRun.run_after,
        DagRun.end_date,
        DagRunNote.content,
    ).outerjoin(DagRunNote, DagRunNote.dag_run_id == DagRun.id)


def _run(row: Any) -> DagRunFacts:
    since = row.start_date or row.queued_at or row.run_after
    state = str(getattr(row.state, "value", row.state))
    return DagRunFacts(row.dag_id, row.run_id, state, row.partition_key, since, row.end_date, row.content or "")


def dag_code(session: Any, dag_id: str) -> str | None:
    """The text of the DAG's file as Airflow parsed it last, which the Code tab shows."""
    found: str | None = session.scalar(
        select(DagCode.source_code).where(DagCode.dag_id == dag_id).order_by(DagCode.last_updated.desc()).limit(1)
    )
    return found
