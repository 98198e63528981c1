"""What a run would take: rows, tokens, steps, memory and time, and what each of these numbers is based on.

A number comes from artifacts that exist (exact), else from earlier runs of the experiment (about); where there is neither,
there is none. Times are those that were measured on the same device with the same base.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skillsengine.pipeline.estimate import Memory, Shape, adapter_parameters, optimizer_steps, training_memory
from skillsengine.pipeline.history import History, PastRun
from skillsengine.pipeline.plan import Plan, Step
from skillsengine.pipeline.source_rows import SourceRows
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import StepRow
from skillsengine.storage.store import Store

_WITH_MODEL = ("finetune", "evaluate[adapter]", "evaluate[base]")


@dataclass(frozen=True)
class Figure:
    """A number and where it comes from."""

    value: float
    exact: bool
    basis: str
    """For people: `the profile artifact`, `the run of 2026-05`."""

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "exact": self.exact, "from": self.basis}

    def times(self, factor: float) -> Figure:
        """Scaled, and so no longer exact."""
        return replace(self, value=self.value * factor, exact=False)


@dataclass(frozen=True)
class Forecast:
    """None stands for what cannot be known yet."""

    rows: Figure | None = None
    """Usable rows of all partitions to train on."""
    train_rows: Figure | None = None
    """Texts that are trained on in an epoch."""
    validation_rows: Figure | None = None
    tokens: Figure | None = None
    """Tokens trained on in all epochs."""
    steps: Figure | None = None
    """Optimizer steps."""
    max_length: Figure | None = None
    """Longest text in tokens."""
    base_parameters: int | None = None
    trainable_parameters: int | None = None
    memory: Memory | None = None
    """Of `finetune`, at `per_device_batch_size` texts of `max_length` tokens."""
    measured_memory: Figure | None = None
    """Bytes: the height of an earlier training with this base and batch."""
    speed: Figure | None = None
    """Tokens a second of an earlier training on the same device with the same base."""
    seconds: Mapping[str, Figure] = field(default_factory=dict)
    """Step id -> how long it takes; of steps that are to run."""
    untimed: tuple[str, ...] = ()
    """Steps that are to run and were never measured."""

    @property
    def total_seconds(self) -> float:
        """Of the steps that are known."""
        return sum(figure.value for figure in self.seconds.values())


def forecast(
    plan: Plan, to_run: Collection[str], shape: Shape | None, store: Store, history: History, rows: SourceRows
) -> Forecast:
    """`to_run`: ids of the steps that are not cached; `shape` of the base, where it is known. Raises StoreError."""
    return _Forecaster(plan, shape, store, history, rows).whole(to_run)


class _Forecaster:
    def __init__(self, plan: Plan, shape: Shape | None, store: Store, history: History, rows: SourceRows) -> None:
        self._plan, self._shape, self._store, self._history, self._rows = plan, shape, store, history, rows
        self._spec = plan.experiment
        self._window = [step for step in plan.of("format") if step.id in plan.step("profile").inputs]
        self._made = {step.id: self._artifact(step) for step in plan.steps}
        self._trainings = plan.of("finetune")
        """One, or the trials of a sweep: all on the same rows."""

    def whole(self, to_run: Collection[str]) -> Forecast:
        train, validation = self._training()
        max_length = self._max_length()
        tokens = {step.id: self._tokens(step, train, validation) for step in self._trainings}
        shape = self._shape
        longest = None if max_length is None else int(max_length.value)
        # Of a sweep the largest trial says what memory it takes.
        spec = max((step.spec for step in self._trainings), key=lambda spec: spec.lora.r)
        seconds = {}
        for step in self._plan.steps:
            if step.id in to_run and (figure := self._seconds(step, tokens.get(step.id))):
                seconds[step.id] = figure
        return Forecast(
            rows=_sum([self._rows_of(step) for step in self._window]),
            train_rows=train,
            validation_rows=validation,
            tokens=_sum(list(tokens.values())),
            steps=_sum([self._steps(step, train) for step in self._trainings]),
            max_length=max_length,
            base_parameters=shape.parameters if shape else None,
            trainable_parameters=adapter_parameters(shape, spec.lora) if shape else None,
            memory=training_memory(shape, spec, longest) if shape else None,
            measured_memory=self._peak(),
            speed=self._speed(),
            seconds=seconds,
            untimed=tuple(step.id for step in self._plan.steps if step.id in to_run and step.id not in seconds),
        )

    def _artifact(self, step: Step) -> Artifact | None:
        return None if step.id in self._plan.unknown else self._store.get(step.stage, step.digest)

    def _rows_of(self, step: Step, name: str = "rows") -> Figure | None:
        """Rows of a partition, or `with_labels`: those of them that have labels."""
        made = self._made[step.id]
        if made is not None:
            return Figure(made.summary[name], True, "the format artifacts")
        counted = None if step.id in self._plan.unknown else self._rows.count(step)
        if counted is not None:
            return Figure(counted.rows if name == "rows" else counted.labelled, True, "the source, counted now")
        before = self._history.before("format", step.id)
        old = before[1] if before else None
        if old is None or name not in old.summary:
            return None
        return Figure(old.summary[name], False, "an earlier state of the data")

    def _training(self) -> tuple[Figure | None, Figure | None]:
        """Texts to train on and to validate with."""
        names = ("train_rows", "validation_rows")
        if (made := next(filter(None, (self._made[step.id] for step in self._trainings)), None)) is not None:
            train, validation = (Figure(made.summary[name], True, "the finetune artifact") for name in names)
            return train, validation
        if (made := self._made["profile"]) is not None:
            counts = made.summary
            texts = counts["rows"] - counts["rows_split"] + counts["parts"]
            texts -= counts["rows_dropped"] + counts["rows_left_out"]
            # Split and left-out rows are counted for both together: which of the two has them, only the training says.
            same = texts == counts["rows"]
            share = 1.0 if same else texts / counts["rows"]
            train, validation = (
                Figure(counts[name] if same else round(counts[name] * share), same, "the profile artifact")
                for name in names
            )
            return train, validation
        labelled = _sum([self._rows_of(step, "with_labels") for step in self._window])
        named = any(file.split for step in self._window for file in step.files)
        if labelled is not None and labelled.value and not named:
            split, dated = self._spec.data.split, self._spec.data.dated
            learned = labelled.value * (1.0 if dated else 1 - split.test)
            basis = f"{labelled.basis}; copies of an ad count once"
            return (
                Figure(round(learned * (1 - split.validation)), False, basis),
                Figure(round(learned * split.validation), False, basis),
            )
        for run, step in self._past("finetune", "train_rows"):
            train, validation = (Figure(step.summary.get(name, 0), False, run.name) for name in names)
            return train, validation
        return None, None

    def _steps(self, step: Step, train: Figure | None) -> Figure | None:
        made = self._made[step.id]
        if made is not None:
            return Figure(made.summary["steps"], True, "the finetune artifact")
        if train is None or train.value < 1:
            return None
        return replace(train, value=optimizer_steps(int(train.value), step.spec.train))

    def _max_length(self) -> Figure | None:
        if self._spec.tokens.max_length != "auto":
            return Figure(self._spec.tokens.max_length, True, "tokens.max_length")
        made = self._made["profile"]
        if made is not None:
            return Figure(made.summary["max_length"], True, "the profile artifact")
        past = self._past("profile", "max_length")
        return next((Figure(step.summary["max_length"], False, run.name) for run, step in past), None)

    def _tokens(self, step: Step, train: Figure | None, validation: Figure | None) -> Figure | None:
        """Tokens of all texts that a training is on, in all epochs."""
        if (made := self._made[step.id]) is not None:
            return Figure(made.summary["tokens"], True, "the finetune artifact")
        if train is None or not train.value:
            return None
        epochs = step.spec.train.epochs
        if (made := self._made["profile"]) is not None:
            both = train.value + (validation.value if validation else 0)
            return Figure(round(made.summary["tokens"] * train.value / both * epochs), False, "the profile artifact")
        for run, past in self._past("finetune", "tokens", "train_rows", "epochs"):
            a_text = past.summary["tokens"] / (past.summary["train_rows"] * past.summary["epochs"])
            return Figure(round(a_text * train.value * epochs), False, f"{a_text:.0f} a text in {run.name}")
        for run, past in self._history.measured("profile", smoke_tests=True):
            facts, limit = past.summary, run.row.options.get("limit") or {}
            if facts.get("rows") and facts.get("longest", 0) < limit.get("tokens", 0):  # no text was cut
                a_text = facts["tokens"] / facts["rows"]
                basis = f"{a_text:.0f} a text in {run.name}"
                return Figure(round(a_text * train.value * epochs), False, basis)
        return None

    def _past(self, step_id: str, *names: str) -> Iterator[tuple[PastRun, StepRow]]:
        """Whole runs that came to the end of a step, newest first, whether it was cached there or not; those whose summary
        has all of `names`: an older version of the stage may have counted less."""
        for run in self._history.runs:
            for step in run.named(step_id):
                ended = not run.smoke_test and step.state in ("done", "cached")
                if ended and all(step.summary.get(name) for name in names):
                    yield run, step

    def _alike(self, run: PastRun) -> bool:
        """Whether a run's model worked on the same kind of device, with the same base."""
        spec = self._spec
        wanted = (spec.resources.device, spec.base.model, spec.base.quantization)
        return wanted == (
            run.setting("resources", "device"),
            run.setting("base", "model"),
            run.setting("base", "quantization"),
        )

    def _peak(self) -> Figure | None:
        batch = self._spec.train.per_device_batch_size
        for run, step in self._past("finetune", "peak_memory_gb"):
            if self._alike(run) and run.setting("train", "per_device_batch_size") == batch:
                return Figure(step.summary["peak_memory_gb"] * 2**30, False, run.name)
        return None

    def _seconds(self, step: Step, tokens: Figure | None) -> Figure | None:
        if step.stage == "finetune":
            return self._training_seconds(tokens)
        for run, past in self._measured(step):
            rows, done = self._rows_to_work_on(step), past.summary.get("rows")
            seconds = float(past.seconds or 0.0)
            if step.stage == "register" or not done:
                return Figure(seconds, False, run.name)
            if rows is None:
                return None
            # What a step takes beside its rows (loading the model) does not grow with them.
            work = float(past.summary.get("seconds", seconds))
            return Figure(max(seconds - work, 0.0) + work * rows.value / done, False, run.name)
        return None

    def _newest_training(self) -> tuple[PastRun, StepRow] | None:
        """The newest training that was measured alike, a smoke test only where there is no other."""
        for smoke_tests in (False, True):
            for run, past in self._history.measured("finetune", smoke_tests=smoke_tests):
                if self._alike(run) and past.summary.get("tokens_per_second"):
                    return run, past
        return None

    def _speed(self) -> Figure | None:
        found = self._newest_training()
        return Figure(found[1].summary["tokens_per_second"], False, found[0].name) if found else None

    def _training_seconds(self, tokens: Figure | None) -> Figure | None:
        found = self._newest_training()
        if found is None or tokens is None:
            return None
        run, past = found
        speed = past.summary["tokens_per_second"]
        # Loading the base and measuring the validation rows.
        around = max(float(past.seconds or 0.0) - past.summary["seconds"], 0.0)
        return Figure(around + tokens.value / speed, False, f"{speed:.0f} tokens/s in {run.name}")

    def _measured(self, step: Step) -> Iterator[tuple[PastRun, StepRow]]:
        """Earlier steps of the same kind that were really done; `format` of any partition."""
        for run in self._history.runs:
            same = [step.id] if step.stage != "format" else [name for name in run.steps if name.startswith("format[")]
            for name in same:
                past = run.steps.get(name)
                done = past is not None and past.state == "done" and not run.smoke_test
                if past is not None and done and (step.id not in _WITH_MODEL or self._alike(run)):
                    yield run, past

    def _rows_to_work_on(self, step: Step) -> Figure | None:
        if step.stage == "format":
            return self._rows_of(step)
        if step.stage == "profile":
            train, validation = self._training()
            return _sum([train, validation])
        most = self._spec.evaluate.max_rows
        if self._spec.data.dated:
            scored = self._rows_of(self._plan.step(f"format[{self._plan.partition}]"))
        else:
            past = next(self._past(step.id, "rows"), None)
            scored = Figure(past[1].summary["rows"], False, past[0].name) if past else None
        return scored if scored is None or most is None else replace(scored, value=min(most, scored.value))


def _sum(figures: list[Figure | None]) -> Figure | None:
    """None if any is unknown, exact if all are."""
    known = [figure for figure in figures if figure is not None]
    if not known or len(known) < len(figures):
        return None
    bases = dict.fromkeys(figure.basis for figure in known)
    return Figure(sum(figure.value for figure in known), all(figure.exact for figure in known), " and ".join(bases))
