"""What becomes of an adapter: `evaluate`, `evaluations`, `gate`, `register`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from skillsengine.spec.sections.fields import DISTINCT, NAME_PATTERN, Duration, Section
from skillsengine.spec.shots import DEFAULT_SHOTS

HubId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$", examples=["my-org/job-skills"]),
]


SLICE_PATTERN = r"^[^=]{1,100}=.{1,100}$"


def _references(versions: tuple[str, ...]) -> tuple[str, ...]:
    """The versions. Raises ValueError, beginning with the index of the item, for what the catalog could never hold."""
    for index, version in enumerate(versions):
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,99}|[0-9]{1,9}", version):
            raise ValueError(
                f"[{index}]: neither an alias (`champion`) nor a number (`'7'`). They are those of register.model, which is "
                "not named again"
            )
    return versions


def _some_time(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("0 is no time to answer in: write how long to wait, such as 7d, or `approval: none`")
    return value


def _slices(floors: dict[str, float]) -> dict[str, float]:
    for name in floors:
        if not re.fullmatch(SLICE_PATTERN, name):
            raise ValueError(
                f"`{name}` names no slice: write `length=long` (or short, medium), or a field and its value, `source=tech`"
            )
    return floors


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

    versions: Annotated[tuple[str, ...], AfterValidator(_references), *DISTINCT] = Field(
        ("champion", "latest"), min_length=1
    )
    """Aliases or version numbers of `register.model`; one that does not exist is passed over with a note."""
    baselines: Annotated[tuple[Literal["base", "lexicon"], ...], *DISTINCT] = ("base", "lexicon")
    """What is scored beside them: the untuned base of each version after worked examples, and the lexicon of its training
    labels. The base is the dear one; an empty list scores neither."""


class Gate(Section):
    """The rule by which a challenger becomes the champion."""

    metric: Literal["f1", "precision", "recall"] = "f1"
    """The set-level score that decides, on the rows that challenger and opponent were both scored on."""
    confidence: float = Field(0.95, ge=0.5, lt=1.0)
    """How sure the difference must be: that of its interval (bootstrap over ads), and 1 minus the largest p value of a
    permutation test."""
    margin: float = Field(0.0, ge=0.0, lt=1.0)
    """The whole interval of the difference must lie above this."""
    min_gold_skills: int = Field(300, ge=1)
    """With fewer gold skills on the rows that both were scored on nothing is decided, and the alias stays. A dated source fills
    up from the newest earlier partitions that neither was trained on, at most 12."""
    min_parse_rate: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the challenger's answers that must be lists of skills."""
    min_verbatim_rate: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the challenger's skills that must stand in their ads word for word."""
    min_slice_scores: Annotated[dict[str, Annotated[float, Field(ge=0.0, le=1.0)]], AfterValidator(_slices)] = Field({})
    """Slice of the ads (`source=tech`, `length=long`) -> the least `gate.metric` that the challenger must have there. A slice
    that the scored ads do not have keeps the champion."""
    approval: Literal["none", "required"] = "none"
    """`required`: a person says yes in Airflow before a version that passed the gate becomes the champion. Without Airflow
    nobody is asked, and `skillsengine promote` does it by hand."""
    approval_timeout: Annotated[Duration, AfterValidator(_some_time)] = timedelta(days=7)
    """How long a run waits for the answer (90s, 15m, 6h, 3d); after that the champion stays."""


class Register(Section):
    """Where the adapter is registered."""

    model: str | None = Field(None, pattern=NAME_PATTERN)
    """Name under which versions are counted; null is the experiment's name. Several specs may compete under one."""
    hub: HubId | None = None
    """Hub repository `org/name` that each new version is pushed to, adapter and card; null pushes nothing."""
    private: bool = True
    """Whether a Hub repository that has to be made is private."""
