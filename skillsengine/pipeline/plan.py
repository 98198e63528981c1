"""Experiment -> Plan: which steps there are, what each is determined by, what is cached.

A step is one artifact to be: one partition of `format`, one subject of `evaluate`, and the other stages once. Every digest
is known before anything runs, because it follows from the spec, the stages' versions and the bytes of the source alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillsengine.pipeline import graph
from skillsengine.pipeline.digest import digest, folder_fingerprint
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES, Experiment
from skillsengine.stages.contract import Limit
from skillsengine.storage import partitions
from skillsengine.storage.partitions import SourceFile
from skillsengine.storage.store import Store

STATIC_KEY = "all"
"""Partition key of a static source."""


class PlanError(Exception):
    """The experiment cannot be planned on this data; the text says what was looked for, where, and the mend."""


@dataclass(frozen=True)
class RunOptions:
    """What a run asks for beside the spec."""

    limit: Limit | None = None
    """The smoke test."""
    rerun: int = 0
    """Above 0: a forced `finetune` that stands beside the cached one."""
    trusted: bool = False
    """Paths came from the command line, so they may leave the roots."""


@dataclass(frozen=True)
class Step:
    """One artifact to be."""

    id: str
    """`format[2026-03]`, `profile`, `evaluate[adapter]` ..."""
    definition: graph.StageDef
    spec: Experiment
    """The whole spec that the step is run for; the stage sees it narrowed."""
    key: str | None
    config: Mapping[str, Any]
    """What entered the digest beside the inputs: spec path -> value, and `limit`, `files`, `rerun`, `base.fingerprint`."""
    inputs: Mapping[str, str]
    """Input name -> digest of the artifact to read; all enter the digest."""
    digest: str
    along: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Input name -> (stage, digest) of what is handed over without determining the outcome."""
    files: tuple[SourceFile, ...] = ()
    subject: str | None = None
    """`evaluate` only: adapter digest, or the baseline's name with its own digest, as the cell's subject."""

    @property
    def stage(self) -> str:
        return self.definition.name


@dataclass(frozen=True)
class Plan:
    """All steps of one run, in an order in which they can run."""

    experiment: Experiment
    partition: str
    """The run's own partition, or `all`."""
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    """What a user should know: months of the window that have no data."""

    def of(self, stage: str) -> list[Step]:
        return [step for step in self.steps if step.stage == stage]

    def step(self, step_id: str) -> Step:
        return next(step for step in self.steps if step.id == step_id)


@dataclass(frozen=True)
class Sources:
    """The files of every partition that a run reads, with their sha256: pinned when the run opens."""

    partition: str
    window: tuple[str, ...]
    files: Mapping[str, tuple[SourceFile, ...]]
    notes: tuple[str, ...] = ()


def find_sources(
    experiment: Experiment,
    partition: str | None,
    settings: Settings,
    *,
    trusted: bool = False,
    trains: bool = True,
    now: datetime | None = None,
) -> Sources:
    """Decide the run's partition and window and hash their files; a run that does not train needs no window.

    Raises PlanError if the partition is unfinished, has no data, or has none before it to train on, and
    SourceError for a source that cannot be read at all.
    """
    source, roots = experiment.data.source, settings.allowed_roots

    def files(key: str | None) -> tuple[SourceFile, ...]:
        return partitions.resolve_source(source, settings.project, roots, partition=key, trusted=trusted)

    if not experiment.data.dated:
        if partition not in (None, STATIC_KEY):
            raise PlanError(
                f"partition {partition}: data.source `{source}` has no {{partition}} in it, so it is not dated. "
                "Leave the partition out, or put {partition} into data.source."
            )
        return Sources(STATIC_KEY, (STATIC_KEY,), {STATIC_KEY: files(None)})
    now = now or datetime.now(UTC)
    there = partitions.available_partitions(source, settings.project, roots, trusted=trusted)
    partition = partition or next((key for key in reversed(there) if partitions.is_complete(key, now)), None)
    if partition is None:
        raise PlanError(
            f"no data for any complete partition: data.source `{source}` matches no file of a month that is over."
        )
    partitions.parse_key(partition)
    if not partitions.is_complete(partition, now):
        raise PlanError(
            f"partition {partition} is not over yet (UTC): its data may still grow. Take an earlier one, such as "
            f"{partitions.previous(partitions.key_of(now.date()), 1)[0]}."
        )
    if partition not in there:
        known = f"there is data for {there[0]} to {there[-1]}" if there else "there is data for no month at all"
        raise PlanError(f"no data for {partition} at {source.replace('{partition}', partition)} ({known}).")
    wanted = partitions.previous(partition, experiment.data.window) if trains else []
    window = tuple(key for key in wanted if key in there)
    if trains and not window:
        raise PlanError(
            f"no data to train on: data.window is {experiment.data.window}, and none of the partitions "
            f"{wanted[0]} to {wanted[-1]} has data at {source}. Take a later partition, or raise data.window."
        )
    missing = [key for key in wanted if key not in there]
    notes = (f"the window {wanted[0]} to {wanted[-1]} has no data for {', '.join(missing)}",) if missing else ()
    return Sources(partition, window, {key: files(key) for key in (*window, partition)}, notes)


def make_plan(experiment: Experiment, sources: Sources, settings: Settings, options: RunOptions | None = None) -> Plan:
    """Lay out every step of a retrain. Pure but for the fingerprint of a local base folder."""
    options = options or RunOptions()
    layout = Layout(experiment, settings, options)
    formats = {
        key: layout.format(key, sources.files[key]) for key in dict.fromkeys((*sources.window, sources.partition))
    }
    window = {f"format[{key}]": formats[key].digest for key in sources.window}
    profile = layout.step("profile", graph.PROFILE, None, window)
    finetune = layout.step("finetune", graph.FINETUNE, None, {**window, "profile": profile.digest})
    tested = formats[sources.partition].digest
    cells = [
        layout.cell("base", tested),
        layout.cell("lexicon", tested, finetune.digest),
        layout.cell("adapter", tested, finetune.digest),
    ]
    along = {cell.id: ("evaluate", cell.digest) for cell in cells} | {"profile": ("profile", profile.digest)}
    register = layout.step("register", graph.REGISTER, None, {"finetune": finetune.digest}, along=along)
    return Plan(experiment, sources.partition, (*formats.values(), profile, finetune, *cells, register), sources.notes)


class Layout:
    """Makes steps of one experiment under one set of options."""

    def __init__(self, experiment: Experiment, settings: Settings, options: RunOptions) -> None:
        self._experiment, self._settings, self._options = experiment, settings, options
        self._fingerprint = base_fingerprint(experiment.base.model, settings)

    def format(self, key: str, files: Sequence[SourceFile]) -> Step:
        named = [{"name": f.path.name, "sha256": f.sha256, "split": f.split} for f in files]
        return self.step(f"format[{key}]", graph.FORMAT, key, {}, extra={"files": named}, files=tuple(files))

    def cell(self, subject: str, tested: str, finetune: str | None = None, step_id: str | None = None) -> Step:
        inputs = {"format": tested} | ({"finetune": finetune} if finetune else {})
        # What the catalog calls the scored thing: an adapter by its digest, a baseline by its name and what made it.
        name = finetune if subject == "adapter" else subject
        return self.step(step_id or f"evaluate[{subject}]", graph.SUBJECTS[subject], subject, inputs, subject=name)

    def step(
        self,
        step_id: str,
        definition: graph.StageDef,
        key: str | None,
        inputs: Mapping[str, str],
        *,
        extra: Mapping[str, Any] | None = None,
        along: Mapping[str, tuple[str, str]] | None = None,
        files: tuple[SourceFile, ...] = (),
        subject: str | None = None,
    ) -> Step:
        config = {path: graph.read_path(self._experiment, path) for path in definition.reads} | dict(extra or {})
        if definition.name == "evaluate" and self._experiment.data.dated:
            del config["data.split"]  # a dated run is scored on its whole partition
        if self._fingerprint and any(path.split(".")[0] == "base" for path in definition.reads):
            config["base.fingerprint"] = self._fingerprint
        if self._options.limit:
            config["limit"] = vars(self._options.limit)
        if self._options.rerun and definition.name == "finetune":
            config["rerun"] = self._options.rerun
        whole = digest(definition.name, definition.version, key, config, inputs)
        return Step(
            step_id, definition, self._experiment, key, config, dict(inputs), whole, dict(along or {}), files, subject
        )


def base_fingerprint(model: str, settings: Settings) -> str | None:
    """What tells a local base folder from another one of the same path; None for a built-in or Hub model."""
    folder = settings.project / model
    return folder_fingerprint(folder) if model and Path(folder).is_dir() else None


def base_roots(experiment: Experiment, settings: Settings, *, trusted: bool) -> tuple[Path, ...]:
    """The folders that a local base may stand in; a trusted path (from the command line) is one by itself."""
    roots = settings.allowed_roots
    return (*roots, (settings.project / experiment.base.model).resolve()) if trusted else roots


def steps_of_stage(stage: str) -> str:
    """Check a stage's name. Raises PlanError that lists the stages."""
    if stage not in STAGES:
        raise PlanError(f"no stage `{stage}`; the stages are {', '.join(STAGES)}.")
    return stage


def cached(step: Step, store: Store) -> bool:
    return store.get(step.stage, step.digest) is not None
