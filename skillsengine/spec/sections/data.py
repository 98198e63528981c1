"""From the ads to the texts that a model sees: `data`, `prompt`, `tokens`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from skillsengine.spec.scalars import shorten
from skillsengine.spec.sections.fields import DISTINCT, ConnectionId, Duration, Section

CleaningStep = Literal["html", "entities", "unicode", "whitespace"]
Period = Literal["day", "week", "month", "quarter"]
_MOST_COLUMNS = 8


def _few(columns: tuple[str, ...]) -> tuple[str, ...]:
    if len(columns) > _MOST_COLUMNS:
        raise ValueError(f"at most {_MOST_COLUMNS} columns, and these are {len(columns)}. Take out what no score needs")
    return columns


Columns = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    *DISTINCT,
    AfterValidator(_few),
    Field(json_schema_extra={"maxItems": _MOST_COLUMNS}),
]
"""Names of a few columns of the source."""


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
    spans: Columns = ()
    """Columns with the gold spans, where the source has them: lists of `[start, end]` or `[start, end, text]`, in characters
    of the ad as it stands there, the end being the first character behind. Scores by span need them."""
    fields: Columns = ()
    """Columns that are kept with each row, so that scores can be told by their values (industry, country): at most 8, of each
    value the first 100 characters."""
    cleaning: Annotated[tuple[CleaningStep, ...], *DISTINCT] = (
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

    @model_validator(mode="after")
    def _two_columns(self) -> Self:
        if self.text == self.labels:
            raise ValueError(
                "labels: the same column as data.text, so every ad would be its own answer. Name the column with the skills"
            )
        return self

    @model_validator(mode="after")
    def _columns_have_one_use(self) -> Self:
        roles = {self.text: "data.text", self.labels: "data.labels"}
        for name, columns in (("spans", self.spans), ("fields", self.fields)):
            for column in columns:
                if column in roles:
                    raise ValueError(
                        f"{name}: `{shorten(column)}` is the column of {roles[column]} already. Leave it out"
                    )
            roles |= dict.fromkeys(columns, f"data.{name}")
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
