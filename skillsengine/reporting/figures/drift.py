"""How far each partition has drifted from the ads that a version was trained on, one measure a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skillsengine.pipeline.drift import DRIFT, Finding, findings
from skillsengine.pipeline.matrix import Matrix
from skillsengine.reporting.figures.plain import Table

_MEASURES = {
    "length": "length, PSI",
    "tokens_per_word": "tokens per word, PSI",
    "skills_per_ad": "skills per ad, PSI",
    "unseen_skills": "unseen skills, share",
    "top_skills": "top skills, JS distance",
}


@dataclass(frozen=True)
class Measured:
    """One measure on one partition."""

    partition: str
    value: float
    threshold: float
    """The spec's."""
    chance: float
    """What chance makes of as few ads."""
    drifted: bool
    text: str
    """The value, as short as can be."""
    hint: str
    """In words, with what it had to be above."""


@dataclass(frozen=True)
class Measure:
    """One row."""

    name: str
    label: str
    found: Mapping[str, Measured]
    """By partition, of those where it was measured."""


@dataclass(frozen=True)
class DriftStrip:
    """The drift of the partitions that a version was scored on."""

    version: int
    measures: tuple[Measure, ...]
    """Those that were measured at all."""

    def table(self) -> Table:
        return Table(
            ("partition", "measure", "value", "threshold", "by chance up to", "drifted"),
            tuple(
                (each.partition, measure.name, each.value, each.threshold, each.chance, "yes" if each.drifted else "no")
                for measure in self.measures
                for each in measure.found.values()
            ),
        )


def drift_strip(found: Matrix, version: int) -> DriftStrip:
    """Of one version of the matrix."""
    rows: dict[str, dict[str, Measured]] = {name: {} for name in _MEASURES}
    for key in found.partitions:
        cell = found.cells.get((version, key))
        for each in findings(cell.metrics.get(DRIFT) or {}, found.drift) if cell is not None else ():
            rows[each.name][key] = _measured(each, key)
    return DriftStrip(
        version, tuple(Measure(name, label, rows[name]) for name, label in _MEASURES.items() if rows[name])
    )


def _measured(found: Finding, key: str) -> Measured:
    text = f"{found.value:.0%}" if found.share else f"{found.value:.2f}".removeprefix("0")
    word = "drifted" if found.drifted else "no drift"
    hint = f"{key}: {found.text} ({found.limit}), {word}"
    return Measured(key, found.value, found.threshold, found.chance, found.drifted, text, hint)
