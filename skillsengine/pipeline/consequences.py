"""What a change of a spec brings about: the stages that run again, those that are kept, and the changes that touch none.

The data is taken to be the same, and so is everything else that a plan looks at: both specs are laid out on one imagined
partition, by the very code that plans a run, and their steps are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from typing import TypeVar

from skillsengine.pipeline.graph import FORMAT
from skillsengine.pipeline.plan import STATIC_KEY, Sources, Step, make_plan
from skillsengine.settings import Settings
from skillsengine.sources.files import SourceFile
from skillsengine.sources.keys import key_of, previous
from skillsengine.spec.compare import Change
from skillsengine.spec.schema import Experiment, Section
from skillsengine.spec.source import Part

_DAY = date(2026, 6, 15)
"""In the imagined partition: which one it is changes nothing."""

READERS: Mapping[str, str] = {
    "description": "the DAG's page, and the cards of versions to come",
    "owner": "how Airflow runs it",
    "tags": "how Airflow shows it",
    "schedule": "when Airflow runs it",
    "start_date": "how far back Airflow may go",
    "paused": "whether its DAG starts paused",
    "data.connection": "whose credentials fetch the data",
    "data.max_rejected": "how many bad rows fail `format`",
    "data.wait": "how long a run waits for its data",
    "data.period": "dated sources only",
    "data.window": "dated sources only",
    "train.per_device_batch_size": "memory and speed: an optimizer step has as many rows as before",
    "train.gradient_accumulation_steps": "memory and speed: an optimizer step has as many rows as before",
    "train.batch_size": "memory and speed: an optimizer step has as many rows as before",
    "train.batching": "speed and memory: the loss is the same",
    "train.eval_steps": "how often the training is evaluated: the last adapter is kept in any case",
    "train.early_stopping_patience": "which adapter is kept, with train.best_by only",
    "train.eval_rows": "which adapter is kept, with train.best_by: validation_f1 only",
    "train.sample_predictions": "what people are shown of the training",
    "train.logging_steps": "how often the training tells its loss",
    "train.checkpoint_steps": "how much a killed training repeats",
    "train.gradient_checkpointing": "memory and speed",
    "train.compile": "memory and speed",
    "sweep.parallel": "how many trials Airflow trains at once",
    "evaluate.batch_size": "memory and speed",
    "evaluations": "what the evaluations DAG scores",
    "drift": "what is called drift",
    "gate": "the gate's next verdict",
    "register.hub": "where new versions are pushed",
    "register.private": "where new versions are pushed",
    "tracking": "what Weights & Biases is told",
    "notify": "who is told",
    "resources": "how Airflow runs it",
}
"""Fields that no stage's outcome depends on -> what they are for. A test holds this against the stages."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of one step, or of those partitions of `format` that fare alike."""

    step: str
    """`finetune`, `evaluate[base]`, `format`, `format of 3 partitions`."""
    changes: tuple[Change, ...] = ()
    """The changes that the step itself reads."""
    reasons: tuple[str, ...] = ()
    """What else makes it run again, in words."""
    inputs: tuple[str, ...] = ()
    """The steps it takes in that run again."""

    @property
    def again(self) -> bool:
        """Whether it runs again. What it makes may be there already, if another run has made it."""
        return bool(self.changes or self.reasons or self.inputs)

    @property
    def because(self) -> str:
        """Why it runs again; empty where it is kept."""
        own = [*(change.path for change in self.changes), *self.reasons]
        if own or not self.inputs:
            return ", ".join(own)
        return f"{', '.join(self.inputs)} {'runs' if len(self.inputs) == 1 else 'run'} again"


@dataclass(frozen=True)
class Consequences:
    """What follows from all changes together."""

    outcomes: tuple[Outcome, ...]
    """Of every step, in an order in which they run."""
    elsewhere: tuple[tuple[Change, str], ...]
    """The changes that no step feels, each with what it is for."""


def consequences(
    before: Experiment,
    after: Experiment,
    changes: Sequence[Change],
    settings: Settings,
    reasons: Mapping[str, str] | None = None,
) -> Consequences:
    """What `changes`, all that `spec.compare` finds between two specs, do to the steps.

    `reasons` are other ones for a step to run again: step (`format` for all of its partitions) -> words.
    """
    old, new = _steps(before, settings), _steps(after, settings)
    alone = [(change, _steps(_with(before, after, change.parts), settings)) for change in changes]
    others = [(change, _steps(_with(after, before, change.parts), settings)) for change in changes]
    names = {step.digest: step.id for step in new.values()}
    outcomes: dict[str, Outcome] = {}
    for step_id, step in new.items():
        was = old.get(step_id)
        differs = _differs(was, step)
        # A change is felt where it alone makes a difference that is still there with all others, or, where none does so
        # alone, where there is no difference without it.
        felt = [change for change, steps in alone if differs & _differs(was, steps.get(step_id))] or [
            change for change, steps in others if differs - _differs(was, steps.get(step_id))
        ]
        said = [words for name, words in (reasons or {}).items() if name in (step_id, step.stage)]
        inputs = [names[digest] for digest in step.inputs.values() if outcomes[names[digest]].again]
        outcomes[step_id] = Outcome(step_id, tuple(felt), tuple(said), tuple(inputs))
    told = {change.path for outcome in outcomes.values() for change in outcome.changes}
    elsewhere = tuple((change, reader(change.path)) for change in changes if change.path not in told)
    return Consequences(_gathered(outcomes), elsewhere)


def reader(path: str) -> str:
    """What a field is for that no stage's outcome depends on."""
    parts = path.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((READERS[name] for name in names if name in READERS), "nothing, with the other values as they are")


def _steps(experiment: Experiment, settings: Settings) -> dict[str, Step]:
    """The steps of a run, by their ids."""
    return {step.id: step for step in make_plan(experiment, _imagined(experiment), settings).steps}


def _imagined(experiment: Experiment) -> Sources:
    """A partition and its window, whose files hold the same as long as they are found in the same way."""
    data = experiment.data
    here = key_of(_DAY, data.period) if data.dated else STATIC_KEY
    window = tuple(previous(here, data.window, data.period)) if data.dated else (STATIC_KEY,)
    found = sha256(f"{data.source}\0{data.date_column}".encode()).hexdigest()
    return Sources(here, window, {key: (SourceFile("imagined", found),) for key in (*window, here)})


_S = TypeVar("_S", bound=Section)


def _with(before: _S, after: _S, parts: Sequence[Part]) -> _S:
    """`before` with the one field of `after` that a path leads to; of a list or an open mapping all of it."""
    name = str(parts[0])
    own, other = getattr(before, name), getattr(after, name)
    value = _with(own, other, parts[1:]) if isinstance(own, Section) and len(parts) > 1 else other
    return before.model_copy(update={name: value})


def _differs(old: Step | None, new: Step | None) -> set[str]:
    """What determines a step by itself and is not as it was; the digests of its inputs are left out."""
    if new is None:
        return set()
    if old is None:
        return {"step"}
    differs = {path for path in {*old.config, *new.config} if old.config.get(path) != new.config.get(path)}
    return differs | ({"inputs"} if set(old.inputs) != set(new.inputs) else set())


def _gathered(outcomes: Mapping[str, Outcome]) -> tuple[Outcome, ...]:
    """The partitions of `format` that fare alike as one."""
    formats = [outcome for name, outcome in outcomes.items() if name.startswith(f"{FORMAT.name}[")]
    alike: dict[str, list[Outcome]] = {}
    for outcome in formats:
        alike.setdefault(outcome.because, []).append(outcome)
    gathered = [
        replace(same[0], step=FORMAT.name if len(alike) == 1 else f"{FORMAT.name} of {_partitions(len(same))}")
        for same in alike.values()
    ]
    told = []
    for outcome in outcomes.values():
        if outcome not in formats:
            short = [FORMAT.name if name.startswith(f"{FORMAT.name}[") else name for name in outcome.inputs]
            told.append(replace(outcome, inputs=tuple(dict.fromkeys(short))))
    return (*gathered, *told)


def _partitions(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"
