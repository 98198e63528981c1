"""What earlier runs of an experiment left in the catalog: which artifacts they asked for, how long their steps took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog, RunRow, StepRow
from skillsengine.storage.store import Store

_NEWEST = 10
"""Runs that are looked at."""


@dataclass(frozen=True)
class PastRun:
    """One retrain run and its steps."""

    row: RunRow
    steps: Mapping[str, StepRow]
    """By the step's id."""

    @property
    def smoke_test(self) -> bool:
        """Whether it was cut down by `--limit`."""
        return bool(self.row.options.get("limit"))

    @property
    def name(self) -> str:
        """For people: `the run of 2026-05`."""
        if self.smoke_test:
            return f"a smoke test of {self.row.started:%Y-%m-%d}"
        if self.row.partition in (None, "all"):
            return f"the run of {self.row.started:%Y-%m-%d}"
        return f"the run of {self.row.partition}"

    def setting(self, section: str, field: str) -> Any:
        """A value of the spec that the run was pinned to; None where that spec has no such field."""
        return self.row.spec.get(section, {}).get(field)

    def named(self, step_id: str) -> list[StepRow]:
        """The step of that id; of `finetune` the trials, where the run was a sweep."""
        if step_id in self.steps:
            return [self.steps[step_id]]
        return [step for step in self.steps.values() if step_id == step.stage == "finetune"]


class History:
    """The newest runs of one experiment, and the artifacts that their steps named."""

    def __init__(self, runs: Sequence[PastRun], store: Store) -> None:
        self.runs, self._store = tuple(runs), store

    @classmethod
    def of(cls, experiment: str, catalog: Catalog, store: Store) -> History:
        """Raises CatalogUnavailable where the catalog does not answer."""
        rows = catalog.list_runs(experiment, limit=_NEWEST, kind="retrain")
        return cls([PastRun(row, {step.step_id: step for step in catalog.steps_of(row.id)}) for row in rows], store)

    def before(self, stage: str, step_id: str) -> tuple[str, Artifact | None] | None:
        """(digest, artifact) that stood last in the place of a step; of those runs that have it, the newest whose artifact is
        still there, else the newest. None where no run but smoke tests had the step. Raises StoreError."""
        newest: tuple[str, Artifact | None] | None = None
        for run in self.runs:
            if run.smoke_test:
                continue
            for digest in self._digests(run, stage, step_id):
                artifact = self._store.get(stage, digest)
                if artifact is not None:
                    return digest, artifact
                newest = newest or (digest, None)
        return newest

    def _digests(self, run: PastRun, stage: str, step_id: str) -> Iterator[str]:
        if stage == "format":
            # What the run's adapter was made of and scored on comes first: where the champion was scored beside it with a
            # cleaning of its own, the row of the partition tells of that one.
            for name, input_name in (("finetune", step_id), ("evaluate[base]", "format")):
                row = next(iter(run.named(name)), None)
                artifact = self._store.get(row.stage, row.digest) if row else None
                digest = artifact.manifest.inputs.get(input_name) if artifact else None
                if digest and (input_name == step_id or step_id == f"format[{run.row.partition}]"):
                    yield digest
        if step_id in run.steps:
            yield run.steps[step_id].digest

    def measured(self, step_id: str, *, smoke_tests: bool = False) -> Iterator[tuple[PastRun, StepRow]]:
        """The steps of that id that were really done, newest first."""
        for run in self.runs:
            for step in run.named(step_id):
                if step.state == "done" and (smoke_tests or not run.smoke_test):
                    yield run, step
