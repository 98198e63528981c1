"""The schema of a spec: `Experiment` and, from `sections`, all that it is made of.

Every field has a docstring with its meaning, its unit and its range: the error texts, the reference docs and Airflow's
trigger form are derived from them. Models are frozen and closed: an unknown key is an error.
"""

from __future__ import annotations

import warnings
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from skillsengine.spec.crons import ever, is_cron
from skillsengine.spec.scalars import shorten
from skillsengine.spec.sections.data import CleaningStep, Data, Period, Prompt, Split, Tokens
from skillsengine.spec.sections.drift import Drift
from skillsengine.spec.sections.fields import NAME_PATTERN, Section, format_duration
from skillsengine.spec.sections.platform import Notify, Resources, StageResources, Tracking
from skillsengine.spec.sections.scoring import Evaluate, Evaluations, Gate, Register, Shot
from skillsengine.spec.sections.sweep import Sweep
from skillsengine.spec.sections.training import ALL_LINEAR, BUILTIN_BASE, Base, Lora, Train, compiles, recomputes

__all__ = [
    "ALL_LINEAR",
    "BUILTIN_BASE",
    "NAME_PATTERN",
    "STAGES",
    "Base",
    "CleaningStep",
    "Data",
    "Drift",
    "Evaluate",
    "Evaluations",
    "Experiment",
    "Gate",
    "Lora",
    "Notify",
    "Period",
    "Prompt",
    "Register",
    "Resources",
    "Section",
    "Shot",
    "Split",
    "StageResources",
    "Sweep",
    "Tokens",
    "Tracking",
    "Train",
    "compiles",
    "format_duration",
    "recomputes",
]

FIRST_START, LAST_START = date(1900, 1, 1), date(2199, 12, 31)
STAGES = ("format", "profile", "finetune", "evaluate", "register")


def _within_reach(start: date) -> date:
    """Earlier, a backfill could be of hundreds of thousands of runs; later, the calendar ends while periods are counted."""
    if not FIRST_START <= start <= LAST_START:
        raise ValueError(f"a start date lies between {FIRST_START} and {LAST_START}")
    return start


# pydantic warns that `register` hides a method of its metaclass; nobody registers virtual subclasses of a spec.
warnings.filterwarnings("ignore", message='Field name "register" in "Experiment" shadows')


class Experiment(Section):
    """One spec: the whole description of an experiment."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the experiment, of its file and of its DAG: lower-case letters, digits, `_` and `-`."""
    description: str = ""
    """What it is for, in Markdown; shown in Airflow."""
    owner: str = Field("skillsengine", min_length=1)
    """Who answers for it."""
    tags: tuple[str, ...] = ()
    """Airflow tags beside `skillsengine`."""
    schedule: str | None = None
    """`partition` (one run a partition, the default of a dated source), a five-field cron in UTC, or `none` (by hand)."""
    start_date: Annotated[date, AfterValidator(_within_reach)] | None = None
    """Earliest partition that a backfill may reach (1900-01-01 to 2199-12-31); needed by a dated source or a cron unless
    `schedule: none`."""
    paused: bool = False
    """Whether the DAG starts paused."""
    data: Data
    prompt: Prompt = Prompt()
    tokens: Tokens = Tokens()
    base: Base = Base()
    lora: Lora = Lora()
    train: Train = Train()
    sweep: Sweep | None = None
    """Values of `lora` and `train` to try out against each other; null trains once."""
    evaluate: Evaluate = Evaluate()
    evaluations: Evaluations = Evaluations()
    drift: Drift = Drift()
    gate: Gate = Gate()
    register: Register = Register()
    tracking: Tracking = Tracking()
    notify: Notify = Notify()
    resources: Resources = Resources()

    @property
    def model_name(self) -> str:
        """Name under which the adapter is registered."""
        return self.register.model or self.name

    @property
    def effective_schedule(self) -> str:
        """`partition`, `none` or a cron."""
        return self.schedule or ("partition" if self.data.dated else "none")

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        schedule = self.effective_schedule
        if schedule not in ("partition", "none") and not is_cron(schedule):
            raise ValueError(
                f"schedule: `{shorten(schedule)}` is none of `partition`, `none`, a cron of five fields (`0 3 * * 1`)"
            )
        if schedule not in ("partition", "none") and not ever(schedule):
            raise ValueError(f"schedule: `{shorten(schedule)}` is a moment that never comes")
        if schedule == "partition" and not self.data.dated:
            raise ValueError(
                "schedule: `partition` needs a dated source: put `{partition}` into data.source or set data.date_column, or "
                "use a cron or `none`"
            )
        if schedule != "none" and self.start_date is None:
            raise ValueError(
                "start_date: missing. A dated source or a cron needs the date of the earliest partition that a backfill "
                "may reach (start_date: 2026-01-01), or `schedule: none`"
            )
        return self

    @model_validator(mode="after")
    def _every_gpu_has_rows(self) -> Self:
        gpus, rows = self.resources.gpus, self.train.effective_batch_size
        if gpus > rows:
            raise ValueError(
                f"resources.gpus: {gpus} share the rows of an optimizer step, and it has only {rows}. Raise "
                f"`train.batch_size`, which changes what is learned, or write `resources.gpus: {rows}` or less"
            )
        return self

    @model_validator(mode="after")
    def _sweep_is_scored(self) -> Self:
        if self.sweep is not None and self.sweep.metric == "validation_f1" and self.train.best_by != "validation_f1":
            raise ValueError(
                "sweep.metric: `validation_f1` is measured by a training with `train.best_by: validation_f1` only. Write that "
                "too, or `metric: validation_loss`"
            )
        return self

    @model_validator(mode="after")
    def _adapter_fits(self) -> Self:
        quantization = self.base.quantization
        if self.lora.init_weights == "pissa" and quantization != "none":
            raise ValueError(
                "lora.init_weights: PiSSA takes its start out of the base's weights, which `base.quantization: "
                f"{quantization}` has rounded already. Write `lora.init_weights: default`, or `base.quantization: none`"
            )
        if self.lora.use_dora and quantization == "int8":
            raise ValueError(
                "lora.use_dora: DoRA measures the base's weights at every step, and peft cannot read 8-bit ones again after "
                "their first use. Write `base.quantization: nf4` or `none`, or `lora.use_dora: false`"
            )
        return self
