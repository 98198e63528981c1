"""Answers about all experiments at once: each is one query, however many experiments, versions and cells there are.

Of the wide JSON columns only single numbers are read, and those by the database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select

from skillsengine.storage.aliases import READY
from skillsengine.storage.database import Database
from skillsengine.storage.models import AliasRow, CellRow, RunRow, StepRow, VersionRow

CHAMPION = "champion"
_ON_GPU = ("finetune", "evaluate")
"""Stages that a GPU is there for, where `resources.device` is `cuda`."""


@dataclass(frozen=True)
class LastRun:
    """The newest retrain run of an experiment."""

    experiment: str
    dag_id: str
    run_id: str
    state: str
    trigger: str
    partition: str | None
    note: str
    started: datetime
    finished: datetime | None


@dataclass(frozen=True)
class Scored:
    """A ready version with the F1 that it was registered with; all three are None where nothing was labelled."""

    model: str
    number: int
    experiment: str
    partition: str | None
    f1: float | None
    low: float | None
    high: float | None

    @property
    def name(self) -> str:
        """`job-skills@7`."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True)
class Busy:
    """What an experiment's steps took of workers and, of these, of GPUs. What was cached took nothing."""

    worker_seconds: float
    gpu_seconds: float
    """Training and scoring on `cuda`; on four GPUs a second of training is four."""


class Overviews:
    """The part of the catalog that looks at all experiments at once."""

    _db: Database

    def last_runs(self) -> dict[str, LastRun]:
        """By experiment."""
        newest = select(func.max(RunRow.id)).where(RunRow.kind == "retrain").group_by(RunRow.experiment)
        query = select(
            RunRow.experiment,
            RunRow.dag_id,
            RunRow.run_id,
            RunRow.state,
            RunRow.trigger,
            RunRow.partition,
            RunRow.note,
            RunRow.started,
            RunRow.finished,
        ).where(RunRow.id.in_(newest))
        with self._db.reading() as session:
            return {row.experiment: LastRun(*row) for row in session.execute(query)}

    def models_of(self) -> dict[str, str]:
        """Experiment -> the model that its newest version was registered under."""
        query = (
            select(VersionRow.experiment, VersionRow.model, func.max(VersionRow.created).label("newest"))
            .where(VersionRow.state == READY)
            .group_by(VersionRow.experiment, VersionRow.model)
            .order_by("newest")
        )
        with self._db.reading() as session:
            return {experiment: model for experiment, model, _ in session.execute(query)}

    def champions(self) -> dict[str, Scored]:
        """By model."""
        query = (
            select(*_scored())
            .join(AliasRow, (AliasRow.model == VersionRow.model) & (AliasRow.number == VersionRow.number))
            .where(AliasRow.alias == CHAMPION)
        )
        with self._db.reading() as session:
            return {row.model: Scored(*row) for row in session.execute(query)}

    def scored_versions(self, experiments: Collection[str]) -> dict[str, list[Scored]]:
        """The ready versions that these experiments made, by experiment, in the order of their numbers."""
        query = select(*_scored()).where(VersionRow.state == READY, VersionRow.experiment.in_(experiments))
        found: dict[str, list[Scored]] = {}
        with self._db.reading() as session:
            # Sorted here: the order of a database is its collation's.
            for row in sorted(session.execute(query), key=lambda row: (row.model, row.number)):
                found.setdefault(row.experiment, []).append(Scored(*row))
        return found

    def scored_on(self, experiment: str) -> dict[str, dict[str, int]]:
        """Adapter -> partition -> labelled ads of its newest cell there, of all that the experiment has scored; partitions in
        their order."""
        query = (
            select(CellRow.adapter_digest, CellRow.partition, CellRow.metrics["labelled_rows"].as_integer())
            .where(CellRow.experiment == experiment, CellRow.kind == "adapter", CellRow.marked.is_(None))
            .order_by(CellRow.id)
        )
        found: dict[str, dict[str, int]] = {}
        with self._db.reading() as session:
            for adapter, partition, labelled in sorted(session.execute(query), key=lambda row: row.partition):
                found.setdefault(adapter, {})[partition] = labelled or 0
        return found

    def busy_since(self, since: datetime) -> dict[str, Busy]:
        """By experiment, of all runs that started since then, as far as their steps are over."""
        resources = RunRow.spec["resources"]
        gpus = case((StepRow.stage == "finetune", func.coalesce(resources["gpus"].as_integer(), 1)), else_=1)
        on_gpu = (
            (resources["device"].as_string() == "cuda")
            & StepRow.stage.in_(_ON_GPU)
            & (func.coalesce(StepRow.key, "") != "lexicon")
        )
        query = (
            select(
                RunRow.experiment,
                func.sum(StepRow.seconds),
                func.sum(case((on_gpu, StepRow.seconds * gpus), else_=0.0)),
            )
            .join(StepRow, StepRow.run_id == RunRow.id)
            .where(RunRow.started >= since, StepRow.state.in_(("done", "failed")))
            .group_by(RunRow.experiment)
        )
        with self._db.reading() as session:
            return {name: Busy(worker or 0.0, gpu or 0.0) for name, worker, gpu in session.execute(query)}

    def steps_of_runs(self, runs: Collection[int]) -> dict[int, list[StepRow]]:
        """The steps of several runs, by run, each in the order of their first start."""
        query = select(StepRow).where(StepRow.run_id.in_(runs)).order_by(StepRow.id)
        found: dict[int, list[StepRow]] = {run: [] for run in runs}
        with self._db.reading() as session:
            for row in session.scalars(query):
                found[row.run_id].append(row)
        return found


def _scored() -> Sequence[Any]:
    adapter = VersionRow.metrics["adapter"]
    return (
        VersionRow.model,
        VersionRow.number,
        VersionRow.experiment,
        VersionRow.partition,
        *(adapter[name].as_float().label(name) for name in ("f1", "f1_low", "f1_high")),
    )
