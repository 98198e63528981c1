"""What a stage is given and what it gives back. Light on purpose: the control plane imports this module, no other of the room.

Each stage is a module `skillsengine.stages.<name>` with

    VERSION: int        # raised when the output for the same input changes
    def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary

It reads immutable inputs and writes into the empty directory `out`; who calls it publishes `out` as an artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.files import SourceFile as SourceFile
from skillsengine.spec.schema import Experiment

Summary = dict[str, Any]
"""Plain JSON: numbers and short texts only. It stands in the manifest, the catalog and the XCom."""


class StageError(Exception):
    """A stage cannot do its work because of the data, the spec or the machine; the text says what, where and the mend.

    Raised for what a retry cannot heal (Airflow fails the task at once).
    """


class Diverged(StageError):
    """A training has diverged: what its values lead to, and not a fault of the machine."""


class NothingToScore(StageError):
    """No row of a partition may be scored: the subject was trained on all of them or on near copies, or none is a test row."""


class HandedOver(Exception):
    """A stage has stopped in the middle because its worker was told to stop: what it has is kept, and the next attempt, on
    whichever worker, goes on from there. No failure."""


DIVERGED = "diverged"
"""The place in the store of the record that a trial has diverged; its summary is {"reason"}."""


@dataclass(frozen=True)
class Limit:
    """The smoke test: how much is cut off. It enters every digest that it changes."""

    rows: int
    """At most this many rows of a partition."""
    steps: int = 5
    """Optimizer steps."""
    generated: int = 4
    """Ads scored."""
    tokens: int = 256
    """Longest text in tokens."""
    answer: int = 96
    """Longest answer in tokens: an untuned base fills whatever room it has."""


@dataclass(frozen=True)
class StageConfig:
    """What a stage may know."""

    spec: Experiment
    """A guarded view: reading a field that the stage did not declare in `pipeline.graph` raises AttributeError,
    so nothing can influence an artifact without standing in its digest."""
    key: str | None = None
    """Partition key (`format`), subject (`evaluate`: adapter, base, lexicon), otherwise None."""
    files: tuple[SourceFile, ...] = ()
    """`format` only: what to read."""
    limit: Limit | None = None
    version_number: int | None = None
    """`register` only: the number that the catalog has set aside for this version."""


@dataclass(frozen=True)
class Progress:
    """One moment of a running stage."""

    text: str
    """For people: `step 12/54 · loss 1.23`."""
    fraction: float | None = None
    """0 to 1."""
    seconds_left: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers for the tracker, e.g. {"train/loss": 1.23}; empty for mere text."""
    step: int | None = None
    """The optimizer step (or batch) of `metrics`."""


class StageTracker(Protocol):
    """The part of tracking that a stage talks to. None of its methods raises: a tracker never fails a stage."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def table(self, name: str, columns: list[str], rows: list[list[Any]], step: int | None = None) -> None: ...

    def image(self, name: str, path: Path) -> None: ...

    def summary(self, values: Mapping[str, Any]) -> None: ...


def _kept_where_it_lies(checkpoint: Path) -> None: ...


def never() -> bool:
    """The `stopping` of a process that nobody tells."""
    return False


@dataclass(frozen=True)
class StageContext:
    """What surrounds a stage. Nothing in it may change what the artifact holds."""

    report: Callable[[Progress], None]
    """Tell people how far it is; cheap to call often (the caller thins it out)."""
    guard: Callable[[], None]
    """Raises LeaseLost if another attempt has taken over; called before a checkpoint is written and at publish."""
    tracker: StageTracker
    checkpoints: Path
    """A directory that outlives the attempt, empty at the first; only `finetune` uses it."""
    bases: Path
    """Where converted built-in bases are kept."""
    allowed_roots: tuple[Path, ...]
    """Folders that a local `base.model` may stand in; the first is the project."""
    digest: str = ""
    """Digest of the artifact to be."""
    keep_checkpoint: Callable[[Path], None] = _kept_where_it_lies
    """Called with each file or folder of `checkpoints` once it is whole, and does not change any more: it then outlives the
    machine, too, where the store is on another one. Returns at once."""
    stopping: Callable[[], bool] = never
    """Whether the worker was told to stop; cheap. `finetune` asks after each step, writes a checkpoint and raises HandedOver.
    It must be picklable: a training on several GPUs asks in another process."""
    connect: Connect = environment_connect
    """The fields of a connection, by its id; `format` opens remote files with it."""
