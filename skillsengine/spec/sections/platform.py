"""What an experiment asks of those around it: `tracking`, `notify`, `resources`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from skillsengine.spec.sections.fields import ConnectionId, Duration, Section


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
    gpus: int = Field(1, ge=1, le=64)
    """GPUs of one machine that train together, each with a copy of the base; they share the rows of an optimizer step, so the
    result stays the same. With `device: cpu` so many processes."""
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
    stages: dict[Literal["format", "profile", "finetune", "evaluate", "register"], StageResources] = Field({})
    """Departures of single stages."""
