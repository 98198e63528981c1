"""The sections of a spec.

Every field has a docstring with its meaning, its unit and its range: the error texts, the reference docs and Airflow's
trigger form are derived from them. Models are frozen and closed: an unknown key is an error.
"""

from __future__ import annotations

import re
import warnings
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from skillsengine.spec.crons import ever, is_cron
from skillsengine.spec.scalars import shorten
from skillsengine.spec.shots import DEFAULT_SHOTS

STAGES = ("format", "profile", "finetune", "evaluate", "register")
BUILTIN_BASE = "smollm2-135m-instruct"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,99}$"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: Any) -> timedelta:
    """`90s`, `15m`, `6h`, `3d` -> timedelta. Raises ValueError with the allowed forms."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
    if not match:
        raise ValueError("a duration is a whole number with a unit: 90s, 15m, 6h or 3d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: timedelta(days=3) -> `3d`."""
    seconds = int(value.total_seconds())
    unit = max((u for u, size in _UNITS.items() if seconds % size == 0), key=lambda u: _UNITS[u])
    return f"{seconds // _UNITS[unit]}{unit}"


def _known_cleaning(steps: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(steps)) != len(steps):
        raise ValueError("a cleaning step is named twice")
    return steps


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
CleaningStep = Literal["html", "entities", "unicode", "whitespace"]
Period = Literal["day", "week", "month", "quarter"]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$", examples=["talent-s3"])]
HubId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$", examples=["my-org/job-skills"]),
]


class Section(BaseModel):
    """Base of every section: closed, frozen, and its field docstrings become descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=False)


class Split(Section):
    """How rows are divided where the source has no files of its own for it."""

    validation: float = Field(0.1, ge=0.0, lt=0.9)
    """Share of the training rows held out for validation during training (0 to 0.9)."""
    test: float = Field(0.1, ge=0.0, lt=0.9)
    """Share of a static source's rows held out for the test; a dated source tests on the run's own partition instead."""
    near_copies: float = Field(0.8, gt=0.0, le=1.0)
    """Texts whose sets of five-word sequences overlap by at least this share (Jaccard) are copies of one ad: a cluster of
    copies never straddles training, validation and test."""


class Data(Section):
    """Where the job ads are and what their columns are called."""

    source: str = Field(min_length=1)
    """Where the ads are: a file, a folder or a glob (`ads/*.csv`), relative to the folder that holds `experiments/`;
    `s3://bucket/key`, `gs://bucket/key`, or a Hub data set `hf://org/name@revision`. JSON lines, JSON, CSV, TSV or Parquet,
    told by the file's name; the text formats also gzipped. `{partition}` in it makes it dated."""
    connection: ConnectionId | None = None
    """Airflow connection with the credentials of an `s3://`, `gs://` or `hf://` source; null takes the environment's own."""
    period: Period = "month"
    """Length of a partition of a dated source, in UTC: `day` (2026-03-09), `week` (ISO, 2026-W10), `month` (2026-03) or
    `quarter` (2026-Q1)."""
    date_column: str | None = Field(None, min_length=1)
    """Column with the ad's date: makes a source without `{partition}` dated, cut into partitions by it."""
    text: str = "job_description"
    """Column with the text of the ad."""
    labels: str = "skills"
    """Column with the skills; a row, or a whole partition, may have none: it is then unlabelled."""
    label_format: Literal["list", "comma", "semicolon", "json"] = "list"
    """How a row holds its skills: a `list`, or a text that is `comma`- or `semicolon`-separated, or a list written as
    `json` (`["SQL", "Go"]`; a list as Python prints it counts too)."""
    id: str = "id"
    """Column with the row's identifier; where a row has none, file and line number serve."""
    cleaning: Annotated[tuple[CleaningStep, ...], AfterValidator(_known_cleaning)] = (
        "html",
        "entities",
        "unicode",
        "whitespace",
    )
    """Cleaning steps, applied in this order to the text."""
    max_rejected: float = Field(0.1, ge=0.0, le=1.0)
    """Largest share of a partition's rows that may be rejected; more fails `format` (0 to 1)."""
    window: int = Field(6, ge=1, le=600)
    """Number of partitions before the run's own that a dated experiment trains on."""
    split: Split = Split()
    """Shares of validation and test."""
    wait: Duration = timedelta(days=3)
    """How long a scheduled run waits for the data of its partition (90s, 15m, 6h, 3d)."""

    @property
    def dated(self) -> bool:
        return "{partition}" in self.source or self.date_column is not None

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        scheme, colon, _ = self.source.partition("://")
        if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) and scheme.lower() not in ("s3", "gs", "hf"):
            raise ValueError(
                f"source: `{shorten(scheme)}://` is no source. Name a local file, a folder or a glob, or an address that "
                "begins with `s3://`, `gs://` or `hf://`"
            )
        return self

    @model_validator(mode="after")
    def _dated_one_way(self) -> Self:
        if self.date_column is not None and "{partition}" in self.source:
            raise ValueError(
                "date_column: the source has `{partition}` in it, so its files are dated by their names already. Leave one "
                "of the two out"
            )
        if self.connection is not None and "://" not in self.source:
            raise ValueError(
                "connection: a local source needs none. Leave it out, or name an `s3://`, `gs://` or `hf://` source"
            )
        return self


class Prompt(Section):
    """How an ad becomes the text the model sees."""

    template: str = "### Job Description: {text}\n### Skills:"
    """The prompt; `{text}` is replaced by the cleaned ad. The answer, a JSON list of verbatim strings, follows it."""

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if self.template.count("{text}") != 1:
            raise ValueError("template: must hold `{text}` exactly once")
        return self


class Tokens(Section):
    """How long a training text may be."""

    max_length: Literal["auto"] | Annotated[int, Field(ge=16, le=131072)] = "auto"
    """Longest training text in tokens, or `auto`: chosen by `profile` from the length distribution."""
    length_percentile: float = Field(99.5, ge=50.0, le=100.0)
    """With `auto`: this percentile of the lengths, rounded up to a multiple of 8 (50 to 100)."""
    overlong: Literal["cut", "split", "drop"] = "cut"
    """What becomes of a training row that is longer: `cut` shortens its ad and keeps its whole answer, `split` makes
    several rows of it at sentence borders, each with the skills that stand in it, `drop` leaves it out. All are counted."""


class Base(Section):
    """The frozen pretrained model."""

    model: str = Field(BUILTIN_BASE, min_length=1)
    """`smollm2-135m-instruct` (built in), a local folder, or a Hub id such as meta-llama/Llama-2-13b-hf."""
    revision: str | None = None
    """Commit, tag or branch of a Hub model; null takes its main branch. A branch is pinned to its commit at registration."""
    quantization: Literal["nf4", "int8", "none"] = "none"
    """Weights of the frozen base: 4-bit NormalFloat, 8-bit integers, or as they are."""


class Lora(Section):
    """The adapter (Hu et al., 2021, arXiv:2106.09685)."""

    r: int = Field(32, ge=1, le=1024)
    """Rank of the update matrices."""
    alpha: int = Field(64, ge=1, le=4096)
    """Scale of the update: it is multiplied by alpha / r."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the adapter's input during training (0 to 1)."""
    target_modules: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1
    )
    """Names of the linear modules that get an adapter; `lm_head` is allowed."""


class Train(Section):
    """How the adapter is trained; the Trainer is transformers' own."""

    epochs: float = Field(3.0, gt=0.0, le=1000.0)
    """Passes over the training rows."""
    per_device_batch_size: int = Field(4, ge=1, le=4096)
    """Rows in one forward pass on one device."""
    gradient_accumulation_steps: int = Field(1, ge=1, le=4096)
    """Forward passes per optimizer step; rows per step = this x per_device_batch_size."""
    learning_rate: float = Field(2e-4, gt=0.0, le=1.0)
    """Peak learning rate."""
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """Course of the learning rate after the warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps over which the learning rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0.0, lt=1.0)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(1.0, gt=0.0)
    """Gradients are clipped to this norm."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of initialization and shuffling."""
    logging_steps: int = Field(10, ge=1)
    """Optimizer steps between two logged losses."""
    checkpoint_steps: int = Field(50, ge=1)
    """Optimizer steps between two checkpoints from which a killed training goes on."""

    @property
    def effective_batch_size(self) -> int:
        """Rows per optimizer step: the only batch size that changes what is learned."""
        return self.per_device_batch_size * self.gradient_accumulation_steps


class Shot(Section):
    """One worked example shown to the untuned base."""

    text: str = Field(min_length=1)
    """The ad."""
    skills: tuple[str, ...]
    """Its skills, verbatim."""


class Evaluate(Section):
    """How the adapter and its baselines are scored."""

    max_rows: int | None = Field(None, ge=1)
    """Score a seeded sample of at most this many rows; null scores all."""
    max_new_tokens: int = Field(256, ge=1, le=8192)
    """Longest answer in tokens."""
    batch_size: int = Field(8, ge=1, le=4096)
    """Ads generated for at once; does not change the answers' meaning and is not in the digest."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of the sample."""
    shots: tuple[Shot, ...] = tuple(Shot(**shot) for shot in DEFAULT_SHOTS)
    """Worked examples shown to the untuned base; they are written for this project and stand in no data set."""


class Evaluations(Section):
    """What the evaluations DAG scores on each new partition."""

    versions: tuple[str, ...] = Field(("champion", "latest"), min_length=1)
    """Aliases or version numbers of `register.model`; one that does not exist is passed over with a note."""


class Gate(Section):
    """The rule by which a challenger becomes the champion."""

    metric: Literal["f1", "precision", "recall"] = "f1"
    """The set-level score that decides, on the rows that challenger and opponent were both scored on."""


class Register(Section):
    """Where the adapter is registered."""

    model: str | None = Field(None, pattern=NAME_PATTERN)
    """Name under which versions are counted; null is the experiment's name. Several specs may compete under one."""
    hub: HubId | None = None
    """Hub repository `org/name` that each new version is pushed to, adapter and card; null pushes nothing."""
    private: bool = True
    """Whether a Hub repository that has to be made is private."""


class Tracking(Section):
    """Weights & Biases."""

    mode: Literal["auto", "offline", "disabled"] = "auto"
    """`auto` is online when WANDB_API_KEY is set and offline otherwise."""
    project: str = Field("llama-job-skills", min_length=1)
    """W&B project."""
    entity: str | None = None
    """W&B team or user; null is the key's default."""


class Notify(Section):
    """Who is told, over a connection of Airflow's: an SMTP connection sends a mail, an HTTP one posts JSON."""

    connection: ConnectionId | None = None
    """Airflow connection (type `smtp` or `http`) that messages go over; null sends none."""
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", examples=["team@example.com"])], ...] = ()
    """Mail addresses, for an SMTP connection."""
    on: tuple[Literal["failure", "deadline", "verdict"], ...] = ("failure", "deadline", "verdict")
    """What is told: a run that failed, a run that is not done by its `deadline`, the gate's verdict."""
    deadline: Duration | None = None
    """A run should be done so long after it was due (90s, 15m, 6h, 3d); null sets none."""

    @model_validator(mode="after")
    def _told_to_somebody(self) -> Self:
        # `connection: null` in a spec that extends another one silences what that one tells: no mistake.
        if self.connection is None and "connection" not in self.model_fields_set:
            for name in ("to", "deadline"):
                if getattr(self, name):
                    raise ValueError(
                        f"{name}: nothing is sent without notify.connection. Name a connection of Airflow's there, or leave "
                        f"`{name}` out"
                    )
        if self.connection is not None and self.deadline is not None and "deadline" not in self.on:
            raise ValueError(
                "deadline: `on` leaves it out, so nobody would hear of a missed one. Add `deadline` to notify.on, or leave "
                "notify.deadline out"
            )
        return self


class StageResources(Section):
    """What one stage asks of Airflow; null takes the experiment's."""

    queue: str | None = None
    """Queue of this stage's task."""
    pool: str | None = None
    """Pool of this stage's task."""
    retries: int | None = Field(None, ge=0, le=100)
    """Retries of this stage's task."""
    timeout: Duration | None = None
    """Longest run of this stage's task."""


class Resources(Section):
    """What the experiment asks of Airflow and of the machine."""

    device: Literal["cpu", "cuda"] = "cuda"
    """Where the model runs. It decides the number format (cpu: float32, cuda: bfloat16) and so enters the digest."""
    queue: str = "gpu"
    """Queue of the stages' tasks."""
    pool: str = "default_pool"
    """Pool of the stages' tasks."""
    priority: int = Field(1, ge=1, le=1_000_000)
    """Where slots are few, tasks of experiments with a higher one go first (1 to 1000000); 1 is a place among neighbours."""
    retries: int = Field(2, ge=0, le=100)
    """Retries of a task; the wait doubles from `retry_delay` up to an hour."""
    retry_delay: Duration = timedelta(seconds=30)
    """Wait before the first retry."""
    timeout: Duration = timedelta(days=2)
    """Longest run of one task."""
    stages: dict[Literal["format", "profile", "finetune", "evaluate", "register"], StageResources] = {}
    """Departures of single stages."""


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
    start_date: date | None = None
    """Earliest partition that a backfill may reach; needed by a dated source or a cron unless `schedule: none`."""
    paused: bool = False
    """Whether the DAG starts paused."""
    data: Data
    prompt: Prompt = Prompt()
    tokens: Tokens = Tokens()
    base: Base = Base()
    lora: Lora = Lora()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    evaluations: Evaluations = Evaluations()
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
