"""Experiment -> Plan: which steps there are, what each is determined by, what is cached.

A step is one artifact to be: one partition of `format`, one trial of a sweep, one subject of `evaluate`, and the other stages
once. Every digest
is known before anything runs, because it follows from the spec, the stages' versions and the bytes of the source alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillsengine.pipeline import graph
from skillsengine.pipeline.digest import digest, folder_fingerprint
from skillsengine.pipeline.source import source_of
from skillsengine.settings import Settings
from skillsengine.sources import keys
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.files import SourceFile
from skillsengine.sources.find import place_of
from skillsengine.sources.keys import STATIC_KEY as STATIC_KEY
from skillsengine.sources.memory import Memory
from skillsengine.spec.schema import STAGES, Experiment, Split
from skillsengine.spec.trials import Trial, trials
from skillsengine.stages.contract import Limit
from skillsengine.storage.store import Store


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
    trial: Trial | None = None
    """`finetune` of a sweep only: the trial that it trains."""

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
    """What a user should know: partitions of the window that have no data, rows without a date."""

    def of(self, stage: str) -> list[Step]:
        return [step for step in self.steps if step.stage == stage]

    def step(self, step_id: str) -> Step:
        return next(step for step in self.steps if step.id == step_id)

    @property
    def adapter(self) -> Step:
        """The step whose artifact is the run's adapter: the training, or of a sweep the choice among its trials."""
        return (self.of("select") or self.of("finetune"))[0]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the run, in an order in which they can run."""
        return tuple(dict.fromkeys(step.stage for step in self.steps))

    @property
    def unknown(self) -> frozenset[str]:
        """Ids of the steps whose digest depends on a file that was never read; what they carry as one means nothing."""
        digests: dict[str, str] = {}
        for step in self.steps:
            if any(file.unread for file in step.files) or not digests.keys().isdisjoint(step.inputs.values()):
                digests[step.digest] = step.id
        return frozenset(digests.values())


@dataclass(frozen=True)
class Sources:
    """The files of every partition that a run reads, with their sha256: pinned when the run opens."""

    partition: str
    window: tuple[str, ...]
    files: Mapping[str, tuple[SourceFile, ...]]
    notes: tuple[str, ...] = ()
    there: tuple[tuple[str, str], ...] = ()
    """(first, last) of each unbroken row of partitions that have data, where they were looked for just now; empty of a static
    source and of a pinned run."""

    @property
    def span(self) -> tuple[str, str] | None:
        """The oldest and the newest partition that have data, if that is known."""
        return (self.there[0][0], self.there[-1][1]) if self.there else None


def find_sources(
    experiment: Experiment,
    partition: str | None,
    settings: Settings,
    *,
    trusted: bool = False,
    trains: bool = True,
    now: datetime | None = None,
    connect: Connect = environment_connect,
    memory: Memory | None = None,
    read: bool = True,
) -> Sources:
    """Decide the run's partition and window and hash their files; a run that does not train needs no window.

    `memory` (the catalog) spares reading again what did not change. With `read=False` nothing is downloaded: files that were
    never read are left UNREAD.

    Raises PlanError if the partition is unfinished, has no data, or has none before it to train on, SourceError for a
    source that cannot be read at all, and SourceUnavailable for one that does not answer.
    """
    data = experiment.data
    compares = trains and experiment.sweep is not None
    source = source_of(experiment, settings, trusted=trusted, connect=connect, memory=memory, read=read)
    if not data.dated:
        if partition not in (None, STATIC_KEY):
            raise PlanError(
                f"partition {partition}: data.source `{data.source}` has no {{partition}} in it, so it is not dated. "
                "Leave the partition out, put {partition} into data.source, or set data.date_column."
            )
        static = source.files(None)
        if compares:
            _require_validation(data.split, static)
        return Sources(STATIC_KEY, (STATIC_KEY,), {STATIC_KEY: static}, _cut(static, data.split) + source.notes())
    there = source.partitions()
    partition = _decide(experiment, partition, there, now or datetime.now(UTC))
    wanted = keys.previous(partition, data.window, data.period) if trains else []
    window = tuple(key for key in wanted if key in there)
    if trains and not window:
        raise PlanError(
            f"no data to train on: data.window is {data.window}, and none of the partitions {wanted[0]} to {wanted[-1]} has "
            f"data at {data.source}. Take a later partition, or raise data.window."
        )
    files = {key: source.files(key) for key in (*window, partition)}
    if compares:
        _require_validation(data.split, [file for key in window for file in files[key]])
    notes = _missing(data.window, wanted, there) + source.notes()
    return Sources(partition, window, files, notes, tuple(keys.spans(there, data.period)))


SEVERAL = "several"
"""In the place of the partition of a run that fills cells."""


def find_cells(
    experiment: Experiment,
    partitions: Sequence[str],
    settings: Settings,
    *,
    trusted: bool = False,
    now: datetime | None = None,
    connect: Connect = environment_connect,
    memory: Memory | None = None,
) -> Sources:
    """Hash the files of the partitions whose cells are to be filled. The source is listed once, however many they are.

    Raises as `find_sources` does.
    """
    data = experiment.data
    if not data.dated:
        # All of it is one partition.
        named = next((key for key in partitions if key != STATIC_KEY), STATIC_KEY)
        found = find_sources(experiment, named, settings, trusted=trusted, trains=False, connect=connect, memory=memory)
        return replace(found, partition=SEVERAL, window=())
    source = source_of(experiment, settings, trusted=trusted, connect=connect, memory=memory)
    there, now = source.partitions(), now or datetime.now(UTC)
    files = {key: source.files(_decide(experiment, key, there, now)) for key in partitions}
    return Sources(SEVERAL, (), files, source.notes(), tuple(keys.spans(there, data.period)))


def _missing(asked: int, wanted: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """What a user should know of partitions of the window that have no data: history begins later, or has holes."""
    begins = [key for key in wanted if key >= there[0]]
    holes = [key for key in begins if key not in there]
    notes = []
    if len(begins) < len(wanted):
        notes.append(f"data.window is {asked}, data begins {there[0]}: only {len(begins)} of {asked}")
    if holes:
        notes.append(f"the window {wanted[0]} to {wanted[-1]} has no data for {', '.join(holes)}")
    return tuple(notes)


def _cut(files: Sequence[SourceFile], split: Split) -> tuple[str, ...]:
    """What a user should know of sides that no file is."""
    named = {file.split for file in files if file.split}
    shares = {"validation": split.validation, "test": split.test}
    return tuple(
        f"no file is named `{side}`: {share:.0%} of `train` is held out for it (data.split.{side})"
        for side, share in shares.items()
        if named and side not in named
    )


def _require_validation(split: Split, files: Sequence[SourceFile]) -> None:
    """A sweep's trials are compared on rows that none of them was trained on."""
    if split.validation == 0 and not any(file.split == "validation" for file in files):
        raise PlanError(
            "sweep: there are no validation rows to compare the trials on: data.split.validation is 0, and no file of the "
            "source is named `validation`. Hold a share of the training rows out, such as data.split.validation: 0.1."
        )


def _decide(experiment: Experiment, partition: str | None, there: Sequence[str], now: datetime) -> str:
    """The partition asked for, or the newest complete one that has data."""
    data = experiment.data
    partition = partition or next((key for key in reversed(there) if keys.is_complete(key, now, data.period)), None)
    if partition is None:
        what = "matches no file" if data.date_column is None else f"has no row (column `{data.date_column}`)"
        raise PlanError(
            f"no data for any complete partition: data.source `{data.source}` {what} of a {data.period} that is over."
        )
    keys.parse_key(partition, data.period)
    if not keys.is_complete(partition, now, data.period):
        earlier = keys.previous(keys.key_of(now.date(), data.period), 1, data.period)[0]
        raise PlanError(
            f"partition {partition} is not over yet (UTC): its data may still grow. Take an earlier one, such as {earlier}."
        )
    if partition not in there:
        known = (
            f"there is data for {there[0]} to {there[-1]}" if there else f"there is data for no {data.period} at all"
        )
        raise PlanError(f"no data for {partition} at {place_of(data, partition)} ({known}).")
    return partition


def make_plan(experiment: Experiment, sources: Sources, settings: Settings, options: RunOptions | None = None) -> Plan:
    """Lay out every step of a retrain. Pure but for the fingerprint of a local base folder."""
    options = options or RunOptions()
    layout = Layout(experiment, settings, options)
    formats = {
        key: layout.format(key, sources.files[key]) for key in dict.fromkeys((*sources.window, sources.partition))
    }
    window = {f"format[{key}]": formats[key].digest for key in sources.window}
    profile = layout.step("profile", graph.PROFILE, None, window)
    tuning = layout.training({**window, "profile": profile.digest})
    finetune = tuning[-1]
    tested = formats[sources.partition].digest
    cells = [
        layout.cell("base", tested),
        layout.cell("lexicon", tested, finetune.digest),
        layout.cell("adapter", tested, finetune.digest, profile=profile.digest),
    ]
    along = {cell.id: ("evaluate", cell.digest) for cell in cells} | {"profile": ("profile", profile.digest)}
    register = layout.step("register", graph.REGISTER, None, {"finetune": finetune.digest}, along=along)
    return Plan(experiment, sources.partition, (*formats.values(), profile, *tuning, *cells, register), sources.notes)


class Layout:
    """Makes steps of one experiment under one set of options."""

    def __init__(
        self, experiment: Experiment, settings: Settings, options: RunOptions, fingerprint: str | None = None
    ) -> None:
        """`fingerprint` is that of the base's folder, where it is known already."""
        self._experiment, self._settings, self._options = experiment, settings, options
        self._fingerprint = fingerprint or base_fingerprint(experiment.base.model, settings)

    def format(self, key: str, files: Sequence[SourceFile]) -> Step:
        named = [
            {"name": f.name, "sha256": f.sha256, "split": f.split} | ({"labels": True} if f.labels else {})
            for f in files
        ]
        return self.step(f"format[{key}]", graph.FORMAT, key, {}, extra={"files": named}, files=tuple(files))

    def training(self, inputs: Mapping[str, str]) -> list[Step]:
        """The step that trains, or of a sweep one for each trial and the one that selects; the last one's is the adapter."""
        found = trials(self._experiment)
        if not found:
            return [self.step("finetune", graph.FINETUNE, None, inputs)]
        steps = []
        for trial in found:
            layout = Layout(trial.spec, self._settings, self._options, self._fingerprint)
            steps.append(replace(layout.step(f"finetune[{trial.label}]", graph.FINETUNE, None, inputs), trial=trial))
        digests = {step.id: step.digest for step in steps}
        # Inputs have no order in a digest, and of two equal trials the earlier wins.
        return [*steps, self.step("select", graph.SELECT, None, digests, extra={"trials": list(digests)})]

    def cell(
        self,
        subject: str,
        tested: str,
        finetune: str | None = None,
        step_id: str | None = None,
        profile: str | None = None,
    ) -> Step:
        """`evaluate` of a subject. `profile` is the one that `finetune` has read, so it determines nothing more."""
        inputs = {"format": tested} | ({"finetune": finetune} if finetune else {})
        along = {"profile": ("profile", profile)} if profile else None
        # What the catalog calls the scored thing: an adapter by its digest, a baseline by its name and what made it.
        name = finetune if subject == "adapter" else subject
        step_id = step_id or f"evaluate[{subject}]"
        return self.step(step_id, graph.SUBJECTS[subject], subject, inputs, along=along, subject=name)

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
            # A dated run is scored on its whole partition, but for near copies of what its subject was trained on.
            split = config.pop("data.split")
            if "finetune" in inputs:
                config["data.split.near_copies"] = split["near_copies"]
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
    if stage not in (*STAGES, graph.SELECT.name):
        raise PlanError(f"no stage `{stage}`; the stages are {', '.join(STAGES)}, and of a sweep {graph.SELECT.name}.")
    return stage


def cached(step: Step, store: Store) -> bool:
    return store.get(step.stage, step.digest) is not None
