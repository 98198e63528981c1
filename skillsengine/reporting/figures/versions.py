"""How good each version of a model is, on the partition that its own run has scored it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.reporting.figures.plain import Table
from skillsengine.reporting.figures.scores import SUBJECTS, Score, score
from skillsengine.storage.catalog import Catalog


@dataclass(frozen=True)
class VersionScore:
    """One version."""

    number: int
    name: str
    experiment: str
    partition: str | None
    published: datetime | None
    aliases: tuple[str, ...]
    trained_on: tuple[str, ...]
    """Keys of partitions, in their order."""
    scores: Mapping[str, Score]
    """By subject: `adapter` and its baselines, of those that have the metric."""
    ads: int
    gold_skills: int | None
    verdict: str | None


@dataclass(frozen=True)
class Versions:
    """The ready versions of a model, oldest first."""

    model: str
    metric: str
    versions: tuple[VersionScore, ...]

    def table(self) -> Table:
        return Table(
            ("version", "scored on", self.metric, "low", "high", "ads", "gold skills", "verdict", "aliases"),
            tuple(
                (
                    v.name,
                    v.partition,
                    *((s.value, s.low, s.high) if (s := v.scores.get("adapter")) else (None, None, None)),
                    v.ads,
                    v.gold_skills,
                    v.verdict,
                    " ".join(v.aliases),
                )
                for v in self.versions
            ),
        )


def versions(model: str, catalog: Catalog, metric: str = "f1") -> Versions:
    """Of all that are ready; none where the model has none."""
    held: dict[int, list[str]] = {}
    for alias, number in sorted(catalog.aliases(model).items()):
        held.setdefault(number, []).append(alias)
    found = []
    for row in catalog.versions(model):
        if row.state != "ready":
            continue
        told = {subject: row.metrics.get(subject, {}) for subject in SUBJECTS}
        scores = {subject: each for subject, metrics in told.items() if (each := score(metrics, metric)) is not None}
        found.append(
            VersionScore(
                number=row.number,
                name=row.name,
                experiment=row.experiment,
                partition=told["adapter"].get("partition", row.partition),
                published=row.published,
                aliases=tuple(held.get(row.number, ())),
                trained_on=tuple(trained_partitions(row)),
                scores=scores,
                ads=int(told["adapter"].get("rows", 0)),
                gold_skills=told["adapter"].get("gold_skills"),
                verdict=row.verdict["verdict"] if row.verdict else None,
            )
        )
    return Versions(model, metric, tuple(sorted(found, key=lambda each: each.number)))
