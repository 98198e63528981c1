"""The catalog's tables. Rows are handed out detached: plain typed objects that no longer belong to a session.

Every change here needs a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, on databases that know time zones and on SQLite, which does not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value}: the catalog takes aware times only")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def clean(text: str) -> str:
    """`text` as every database stores it: PostgreSQL takes no NUL, and neither takes half of a surrogate pair, as names of
    files that are no UTF-8 have them. Both become the replacement character."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\x00", "\ufffd")


class CleanText(TypeDecorator[str]):
    """Text that is the same on every database: messages and paths come from outside."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class Table(DeclarativeBase):
    """Base of the tables: column types by annotation, constraints with predictable names (migrations refer to them)."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON, datetime: UtcDateTime, str: CleanText}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def __repr__(self) -> str:
        shown = ", ".join(f"{column.key}={self.__dict__.get(column.key)!r}" for column in self.__table__.primary_key)
        return f"{type(self).__name__}({shown})"


class RunRow(Table):
    """One run of an experiment, with the spec it was pinned to."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("dag_id", "run_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dag_id: Mapped[str]
    run_id: Mapped[str]
    """Airflow's name of the run, or the command line's."""
    experiment: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    """`retrain` or `evaluations`."""
    partition: Mapped[str | None]
    """Resolved key; `all` for a static source; None where the run names cells instead."""
    spec: Mapped[dict[str, Any]]
    """The resolved spec as plain JSON."""
    options: Mapped[dict[str, Any]]
    trigger: Mapped[str]
    """`cli`, `scheduled`, `manual`, `backfill` or `asset`."""
    spec_commit: Mapped[str | None]
    """Git commit of the spec's file, where there is one."""
    state: Mapped[str]
    """`running`, then what `finish_run` said."""
    note: Mapped[str]
    error: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    """Small results that belong to the run: the gate's verdict."""
    started: Mapped[datetime]
    finished: Mapped[datetime | None]


class StepRow(Table):
    """One step of a run: one artifact to be made or found."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "step_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    step_id: Mapped[str]
    """`format[2026-03]`, `profile`, `evaluate[adapter]`."""
    stage: Mapped[str]
    key: Mapped[str | None]
    digest: Mapped[str]
    state: Mapped[str]
    """`running`, `done`, `cached` or `failed`."""
    attempts: Mapped[int]
    progress: Mapped[dict[str, Any]]
    seconds: Mapped[float | None] = mapped_column(Double)
    summary: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    started: Mapped[datetime]
    """Start of the newest attempt."""
    updated: Mapped[datetime]
    finished: Mapped[datetime | None]


class ArtifactRow(Table):
    """Where a published artifact lies."""

    __tablename__ = "artifacts"

    digest: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(index=True)
    key: Mapped[str | None]
    path: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]


class CellRow(Table):
    """The score of one subject on one partition of one experiment, or the mark that there is nothing to score it on."""

    __tablename__ = "cells"
    __table_args__ = (UniqueConstraint("artifact_digest", "experiment", "partition"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    """Digest of the adapter, or `base:<digest8>`, `lexicon:<digest8>`."""
    kind: Mapped[str]
    """`adapter`, `base` or `lexicon`."""
    experiment: Mapped[str] = mapped_column(index=True)
    partition: Mapped[str]
    data_digest: Mapped[str]
    """Digest of the `format` artifact that was scored."""
    artifact_digest: Mapped[str]
    """Digest of the `evaluate` artifact that holds the predictions."""
    stage_version: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    """Empty of a mark."""
    adapter_digest: Mapped[str | None] = mapped_column(index=True)
    marked: Mapped[str | None]
    """Of a mark: why the subject is not scored on these bytes, as `evaluate` said it. None of a score."""
    created: Mapped[datetime]


class ModelRow(Table):
    """A name under which versions are counted. Its row is the lock for numbers and aliases of the model."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int]
    created: Mapped[datetime]


class VersionRow(Table):
    """A numbered adapter: `pending` while its register stage is at work, then `ready`; after that only its verdict changes."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("model", "adapter_digest"),)

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    adapter_digest: Mapped[str]
    """Digest of the `finetune` artifact."""
    state: Mapped[str]
    experiment: Mapped[str]
    partition: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    spec: Mapped[dict[str, Any]]
    artifact_digest: Mapped[str | None]
    """Digest of the `register` artifact; None while pending."""
    path: Mapped[str | None]
    metrics: Mapped[dict[str, Any]]
    lineage: Mapped[dict[str, Any]]
    verdict: Mapped[dict[str, Any] | None]
    """What the gate said of it last; None before it did."""
    created: Mapped[datetime]
    published: Mapped[datetime | None]

    @property
    def name(self) -> str:
        """`job-skills@7`."""
        return f"{self.model}@{self.number}"


class AliasRow(Table):
    """A movable name for a version."""

    __tablename__ = "aliases"
    __table_args__ = (ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),)

    model: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    moved: Mapped[datetime]


class AliasMoveRow(Table):
    """One move of an alias: the history is never rewritten."""

    __tablename__ = "alias_moves"
    __table_args__ = (ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    alias: Mapped[str]
    old_number: Mapped[int | None]
    number: Mapped[int]
    reason: Mapped[str]
    moved: Mapped[datetime]


class LeaseRow(Table):
    """Who may write the artifact of a digest. The row outlives the lease, so that its token only ever grows."""

    __tablename__ = "leases"

    digest: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str | None]
    """None once released."""
    token: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[datetime]


class ReadingRow(Table):
    """What reading a file of a source has shown, while the file was in one state: an unchanged one is read once."""

    __tablename__ = "readings"

    uri: Mapped[str] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(primary_key=True)
    """`sha256`, or which rows belong to which partition."""
    state: Mapped[str]
    """Etag, generation or blob of a remote file; size, times and inode of a local one."""
    answer: Mapped[Any] = mapped_column(JSON)
    read: Mapped[datetime]
