"""What the gate judges by: both subjects on the run's own partition, then on earlier ones, until there are gold skills enough.

Cells that are there are used; the others are made here, by the same steps as those of the matrix, which has them afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from skillsengine.pipeline.adapters import input_of
from skillsengine.pipeline.cells import CellLayout, mark_cell, record_cell, trained_on
from skillsengine.pipeline.drift import with_drift
from skillsengine.pipeline.execute import Observer, StepResult, execute
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.plan import PlanError, Step
from skillsengine.pipeline.run import Run
from skillsengine.pipeline.source import source_of
from skillsengine.scoring.comparison import Comparison, ComparisonError, compare
from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.find import Source
from skillsengine.stages.contract import NothingToScore, StageError
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import VersionRow

MOST_EARLIER = 12
"""Earlier partitions that are looked at beside the run's own: each may be minutes of generation for both subjects."""
_SHORT = 160


@dataclass(frozen=True)
class Subject:
    """What is scored: a version, or the untuned base."""

    name: str
    """`job-skills@7`, or `base`."""
    told: str
    """In a sentence: `the champion job-skills@7`, `the untuned base`."""
    steps: Callable[[str, Sequence[SourceFile]], tuple[Step, Step]]
    """(partition, its files) -> `format` and `evaluate` of it."""
    version: VersionRow | None = None


@dataclass(frozen=True)
class OnPartition:
    """Challenger (`found.a`) and opponent (`found.b`) on the labelled ads of one partition that both were scored on."""

    partition: str
    found: Comparison
    answers: tuple[Mapping[str, Any], ...]
    """The challenger's labelled rows of `predictions.jsonl`."""


@dataclass(frozen=True)
class Evidence:
    """All that a verdict is made of."""

    challenger: str
    opponent: Subject
    parts: tuple[OnPartition, ...]
    """The run's own partition first, then the newest earlier one; only those with ads to compare on."""
    passed_over: Mapping[str, str]
    """Partition -> why it tells nothing."""
    end: str
    """Why no further partition was looked at, where there are not gold skills enough; empty for a static source."""
    rates: Mapping[str, Any]
    """Summary of the challenger's cell on the run's own partition."""

    @property
    def gold_skills(self) -> int:
        return sum(part.found.scores_a.gold_skills for part in self.parts)

    @property
    def rows(self) -> int:
        return sum(part.found.rows for part in self.parts)


class _PassedOverError(Exception):
    """A partition tells nothing; the text says why."""


def gather(run: Run, challenger: VersionRow, champion: VersionRow | None, observer: Observer | None = None) -> Evidence:
    """Compare `challenger` with `champion`, or where there is none with the untuned base.

    Earlier partitions that one of them was trained on are left out without a word; others that tell nothing are told.
    Raises PlanError where a subject cannot be scored, with what is to be done; SourceUnavailable where the source is away.
    """
    with ExitStack() as stack:
        return _Gathering(run, challenger, champion, observer, stack).all()


class _Gathering:
    def __init__(
        self,
        run: Run,
        challenger: VersionRow,
        champion: VersionRow | None,
        observer: Observer | None,
        stack: ExitStack,
    ) -> None:
        self._run, self._observer, self._stack = run, observer, stack
        self._holding = False
        self._new = _version(run, challenger, challenger.name)
        self._old = _version(run, champion, f"the champion {champion.name}") if champion else _untuned(run, challenger)
        self._marks = run.catalog.marks(run.experiment.name)

    def all(self) -> Evidence:
        run, enough = self._run, self._run.experiment.gate.min_gold_skills
        parts: list[OnPartition] = []
        passed_over: dict[str, str] = {}
        looked, end = 0, ""
        for key in self._keys():
            if sum(part.found.scores_a.gold_skills for part in parts) >= enough:
                break
            if key != run.partition and looked == MOST_EARLIER:
                end = f"{MOST_EARLIER} earlier partitions are the most that the gate looks at"
                break
            try:
                files = self._files(key)
                if name := self._trained(key, files):
                    if key == run.partition:
                        passed_over[key] = f"{name} was trained on it"
                    continue
                looked += key != run.partition
                parts.append(self._compared(key, files))
            except _PassedOverError as why:
                passed_over[key] = str(why)
        else:
            if run.experiment.data.dated:
                end = "there is no earlier partition left that neither was trained on"
        return Evidence(self._new.name, self._old, tuple(parts), passed_over, end, self._rates())

    def _rates(self) -> Mapping[str, Any]:
        """Of the run's own partition, whatever it tells of the two: what needs no labels stands there too."""
        key = self._run.partition
        _, scored = self._new.steps(key, self._files(key))
        cell = self._run.store.get("evaluate", scored.digest) or self._make(self._new, key, scored)
        return cell.summary

    def _keys(self) -> Iterator[str]:
        yield self._run.partition
        if self._run.experiment.data.dated:
            yield from (key for key in reversed(self._source.partitions()) if key < self._run.partition)

    @cached_property
    def _source(self) -> Source:
        run = self._run
        return source_of(
            run.experiment, run.settings, trusted=run.options.trusted, connect=run.connect, memory=run.catalog
        )

    def _files(self, key: str) -> Sequence[SourceFile]:
        try:
            return self._run.sources.files.get(key) or self._source.files(key)
        except SourceError as error:
            raise _PassedOverError(_first_line(error)) from error

    def _trained(self, key: str, files: Sequence[SourceFile]) -> str | None:
        """Who of the two was trained on a partition."""
        for subject in (self._new, self._old):
            formatted, _ = subject.steps(key, files)
            if subject.version and trained_on(subject.version, self._run.experiment, key, formatted.digest):
                return subject.name
        return None

    def _compared(self, key: str, files: Sequence[SourceFile]) -> OnPartition:
        rows = _rows(self._cell(self._new, key, files))
        answers = tuple(row for row in rows if row["gold"] is not None)
        if not answers:
            raise _PassedOverError("no labels")
        try:
            found = compare(rows, _rows(self._cell(self._old, key, files)), self._run.experiment.gate.metric)
        except ComparisonError as error:
            raise PlanError(f"gate: {self._new.name} and {self._old.told} on {key}: {error}") from error
        if not found.rows:
            raise _PassedOverError("no labelled ad that both were scored on")
        return OnPartition(key, found, answers)

    def _cell(self, subject: Subject, key: str, files: Sequence[SourceFile]) -> Artifact:
        """The cell's artifact, found or made, and known to the catalog."""
        run = self._run
        formatted, scored = subject.steps(key, files)
        if (scored.digest, key) in self._marks:
            raise _PassedOverError(_trained_on_copies(subject))
        artifact = run.store.get("evaluate", scored.digest)
        if artifact is None:
            self._require_labels(formatted)
            self._require_adapter(subject, key)
            artifact = self._make(subject, key, scored)
        result = StepResult(scored, artifact, True, 0.0)
        with_drift(run, record_cell(run.catalog, run.experiment.name, key, result), result)
        return artifact

    def _require_labels(self, formatted: Step) -> None:
        """Format a partition where that was not done; what has no labels is not worth the answers."""
        run = self._run
        rows = run.store.get("format", formatted.digest)
        if rows is None:
            try:
                rows = execute(
                    replace(formatted, id=f"{formatted.id} for the gate"), run.around(self._observer)
                ).artifact
            except (StageError, SourceError) as error:  # the partition's own fault: others may do
                raise _PassedOverError(_first_line(error)) from error
        if not rows.summary.get("with_labels", True):
            raise _PassedOverError("no labels")

    def _make(self, subject: Subject, key: str, scored: Step) -> Artifact:
        run = self._run
        if not self._holding:  # or each partition would load the base anew
            self._stack.enter_context(import_heavy("skillsengine.modeling.held").holding())
            self._holding = True
        try:
            return execute(scored, run.around(self._observer)).artifact
        except NothingToScore as error:
            mark_cell(run.catalog, run.experiment.name, key, scored, str(error))
            raise _PassedOverError(_trained_on_copies(subject)) from error
        except (StageError, PlanError) as error:
            raise PlanError(f"{self._cannot(subject, key)}: {error}") from error

    def _require_adapter(self, subject: Subject, key: str) -> None:
        version, run = subject.version, self._run
        if version is None or input_of(run.store, "finetune", version.adapter_digest) is not None:
            return
        raise PlanError(
            f"{self._cannot(subject, key)}: its adapter (finetune {version.adapter_digest[:12]}) is not in the store "
            f"{run.store.place}. Put the artifact back, or choose another champion (`skillsengine promote "
            f"{version.model}@NUMBER`, `skillsengine rollback {version.model}`), and judge again: clear the task `gate`, or "
            "run the experiment again."
        )

    def _cannot(self, subject: Subject, key: str) -> str:
        model = self._run.experiment.model_name
        return (
            f"{subject.told} cannot be scored on {key}, so {self._new.name} is not judged, and {model}@champion stays where "
            "it is"
        )


def _version(run: Run, row: VersionRow, told: str) -> Subject:
    return Subject(row.name, told, CellLayout(run.experiment, run.settings, run.options, row).steps, row)


def _untuned(run: Run, challenger: VersionRow) -> Subject:
    """The challenger's base, with worked examples."""
    layout = CellLayout(run.experiment, run.settings, run.options, challenger)

    def steps(key: str, files: Sequence[SourceFile]) -> tuple[Step, Step]:
        formatted, _ = layout.steps(key, files)
        return formatted, layout.baseline("base", formatted)

    return Subject("base", "the untuned base", steps)


def _trained_on_copies(subject: Subject) -> str:
    return f"its ads, or near copies of them, stand in the training data of {subject.name}"


def _rows(cell: Artifact) -> list[dict[str, Any]]:
    # Not splitlines: what models write may hold any of the line breaks that Unicode knows.
    with cell.file("predictions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0]
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
