"""One file of a source: as it was found, and as a run pins it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNREAD = ""
"""Stands for the sha256 of what nobody has read yet."""


@dataclass(frozen=True)
class Found:
    """A file that lies where a source points, before anything of it is read."""

    uri: str | Path
    """As in `SourceFile`."""
    name: str
    """Its path below what the source names: `train.csv`, `default/train/0000.parquet`; empty if the source names the file
    itself."""
    key: str | None = None
    """Its partition, where its path says it."""
    size: int | None = None
    identity: str | None = None
    """What tells this state of it from another one; None for a local file, which is looked at when it is read."""
    sha256: str | None = None
    """Of its bytes, where the store itself knows it."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    uri: str | Path
    """Absolute local path, or `s3://bucket/key`, `gs://bucket/key`, `hf://datasets/org/name@<commit>/path`."""
    sha256: str
    """Of the bytes, when the plan was made; with `partition`, of that partition's rows in this file. `UNREAD` in a plan that
    was made without reading; a run has none."""
    split: str | None = None
    """`train`, `validation` or `test` where the file's name says so."""
    partition: str | None = None
    """The partition whose rows count, where a date column cuts the file."""
    size: int | None = None
    """Bytes, where known."""
    identity: str | None = None
    """What tells this state of the file from another one (etag, version, commit); None for a local file."""
    connection: str | None = None
    """Airflow connection with the credentials."""
    labels: bool = False
    """Whether it holds no ads but labels that people have made of them (`skillsengine annotate import`)."""

    @property
    def unread(self) -> bool:
        """Whether nobody has read it yet; no run has such a file."""
        return self.sha256 == UNREAD

    @property
    def remote(self) -> bool:
        return "://" in str(self.uri)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(str(self.uri)).name

    @property
    def path(self) -> Path:
        """The local path. Raises ValueError for a remote file."""
        if self.remote:
            raise ValueError(f"{self.uri} is no local file")
        return Path(self.uri)
