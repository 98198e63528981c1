"""The course of a training: loss, validation loss, learning rate and speed over optimizer steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.pipeline.adapters import input_of
from skillsengine.pipeline.moments import HISTORY
from skillsengine.reporting.figures.plain import FigureMissing, Table
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog, StepRow, VersionRow
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class Moment:
    """What was told at one optimizer step; None is what was not told there."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    """Mean over the steps since the last moment, in nats a supervised token."""
    learning_rate: float | None = None
    grad_norm: float | None = None
    validation_loss: float | None = None
    validation_f1: float | None = None
    tokens_per_second: float | None = None
    """Over the last ten steps."""


@dataclass(frozen=True)
class Training:
    """The course of one training."""

    moments: tuple[Moment, ...]
    """In the order of their steps, one a step."""
    facts: Mapping[str, Any]
    """The summary of `finetune`; empty while it goes on."""
    best_step: int | None
    """The step that the kept adapter is of."""
    running: bool = False
    text: str = ""
    """While it goes on: where it is, in words."""
    fraction: float | None = None
    seconds_left: float | None = None

    def series(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of every moment that tells a number of that name."""
        told = ((moment.step, getattr(moment, name)) for moment in self.moments)
        return [(step, value) for step, value in told if value is not None]

    def table(self) -> Table:
        names = ("loss", "validation_loss", "validation_f1", "learning_rate", "grad_norm", "tokens_per_second")
        told = tuple(name for name in names if self.series(name))
        return Table(
            ("step", "epoch", *(name.replace("_", " ") for name in told)),
            tuple((m.step, m.epoch, *(getattr(m, name) for name in told)) for m in self.moments),
        )


def training(version: VersionRow, store: Store, catalog: Catalog, most: int = 600) -> Training:
    """That of a version's adapter; of a sweep that of the trial that was chosen. Of more than `most` moments every n-th is
    told, and each evaluation.

    Raises FigureMissing where the store has lost it.
    """
    digest = version.adapter_digest
    artifact = input_of(store, "finetune", digest)
    if artifact is None:
        raise FigureMissing(
            f"the course of the training is gone: its artifact (finetune {digest[:12]}) is no longer in the store."
        )
    trained = artifact.json("selection.json")["digest"] if artifact.stage == "select" else digest
    records = _records(artifact)
    history = catalog.history_of(version.experiment, trained)
    summary = artifact.summary
    return Training(_thinned(_moments(records, history), most), dict(summary), summary.get("best_step"))


def training_under_way(step: StepRow) -> Training:
    """Of a `finetune` that goes on, from what its step tells in the catalog; after its end what it told until then."""
    progress = step.progress
    return Training(
        moments=_moments((), progress.get(HISTORY, ())),
        facts=dict(step.summary),
        best_step=step.summary.get("best_step"),
        running=step.state == "running",
        text=str(progress.get("text", "")),
        fraction=progress.get("fraction"),
        seconds_left=progress.get("seconds_left"),
    )


def _thinned(moments: tuple[Moment, ...], most: int) -> tuple[Moment, ...]:
    every = max(1, -(-len(moments) // most))
    last = len(moments) - 1
    return tuple(
        moment
        for place, moment in enumerate(moments)
        if place % every == 0 or place == last or moment.validation_loss is not None
    )


def _records(artifact: Artifact) -> list[dict[str, Any]]:
    with artifact.file("metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


_OF_RECORD = {
    "epoch": "epoch",
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "eval_loss": "validation_loss",
    "eval_f1": "validation_f1",
}
_OF_HISTORY = {
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/tokens_per_second": "tokens_per_second",
    "eval/loss": "validation_loss",
    "eval/f1": "validation_f1",
}


def _moments(records: Iterable[Mapping[str, Any]], history: Iterable[Mapping[str, Any]]) -> tuple[Moment, ...]:
    """One a step. The artifact's own records are whole and unrounded, so they win over what the catalog kept."""
    told: dict[int, dict[str, Any]] = {}
    for entries, names in ((history, _OF_HISTORY), (records, _OF_RECORD)):
        for entry in entries:
            kept = {ours: entry[theirs] for theirs, ours in names.items() if theirs in entry}
            told.setdefault(int(entry["step"]), {}).update(kept)
    return tuple(Moment(step, **told[step]) for step in sorted(told))
