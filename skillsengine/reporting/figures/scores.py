"""Scores of a version beside its baselines: the headline with intervals, then what is told beside it, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.reporting.figures.plain import Table
from skillsengine.storage.catalog import VersionRow

SUBJECTS = {"adapter": "adapter", "base": "untuned base", "lexicon": "lexicon"}


@dataclass(frozen=True)
class Score:
    """A number with its 95% interval, where one was measured."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measure:
    """One row of a block: a score of every subject that has it."""

    name: str
    """As it stands in the metrics: `fuzzy_f1`."""
    label: str
    scores: Mapping[str, Score]
    """By subject."""
    share: bool = True
    """Whether it lies between 0 and 1; otherwise it is a count an ad."""


@dataclass(frozen=True)
class Block:
    """Measures that belong together."""

    name: str
    title: str
    note: str
    """What they say, for somebody who sees them for the first time."""
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Slice:
    """The adapter's F1 on a part of the ads."""

    name: str
    """`length=short`, `source=indeed`."""
    kind: str
    value: str
    ads: int
    gold_skills: int
    f1: Score


@dataclass(frozen=True)
class Subject:
    """What was scored."""

    name: str
    """`adapter`, `base` or `lexicon`."""
    label: str
    """`untuned base, 4 examples`."""
    f1: Score | None
    """None without labels."""
    ads: int
    labelled_ads: int
    gold_skills: int | None
    predicted_skills: int | None
    excluded_trained_on: int
    """Ads that were not scored because the adapter was trained on them."""
    excluded_near_copies: int


@dataclass(frozen=True)
class Scores:
    """All that one evaluation says of the subjects that were scored on the same partition."""

    partition: str | None
    subjects: tuple[Subject, ...]
    """The adapter first."""
    blocks: tuple[Block, ...]
    slices: tuple[Slice, ...]
    """By what they are cut by, there the largest first."""

    def table(self) -> Table:
        """Every measure of every subject, one a row."""
        return Table(
            ("block", "measure", "subject", "value", "low", "high"),
            tuple(
                (block.name, measure.name, subject, score.value, score.low, score.high)
                for block in self.blocks
                for measure in block.measures
                for subject, score in measure.scores.items()
            ),
        )

    def slice_table(self) -> Table:
        return Table(
            ("slice", "ads", "gold skills", "F1", "low", "high"),
            tuple((s.name, s.ads, s.gold_skills, s.f1.value, s.f1.low, s.f1.high) for s in self.slices),
        )


_LABELS = {"precision": "precision", "recall": "recall", "f1": "F1"}
_BLOCKS: tuple[tuple[str, str, str, Mapping[str, str]], ...] = (
    (
        "headline",
        "Headline",
        "Over the sets of skills of each ad, summed over all ads first, then divided (micro). With 95% intervals.",
        _LABELS,
    ),
    (
        "macro",
        "Macro",
        "The same of each ad, averaged over ads: here an ad with many skills counts no more than one with few.",
        {f"macro_{name}": label for name, label in _LABELS.items()},
    ),
    (
        "relaxed",
        "Relaxed",
        "Near misses forgiven: fuzzy takes two spellings that are 90% alike for one skill; overlap counts shared words.",
        {f"{kind}_{name}": f"{kind} {label}" for kind in ("fuzzy", "overlap") for name, label in _LABELS.items()},
    ),
    (
        "spans",
        "Spans",
        "Where skills stand, on the ads whose labels carry offsets: strict asks for both borders, partial counts an overlap "
        "half, type counts any overlap.",
        {
            f"span_{kind}_{name}": f"{kind} {label}"
            for kind in ("strict", "partial", "type")
            for name, label in _LABELS.items()
        },
    ),
    (
        "label-free",
        "Without labels",
        "What needs no labels, and so is known of every month: answers that are a whole list, extracted skills that stand in "
        "the ad letter by letter, and skills extracted from ads that have none.",
        {
            "parse_rate": "answers parsed",
            "verbatim_rate": "skills verbatim",
            "skills_per_ad": "skills an ad",
            "false_positive_ads": "ads without skills that got some",
        },
    ),
    (
        "tokens",
        "Tokens (teacher forcing)",
        "How well the model writes on once the right answer has begun, token by token. No measure of extraction: the notebook "
        "that this platform grew from told these, so they are kept, apart from the others.",
        {f"token_{name}": label for name, label in _LABELS.items()},
    ),
)
_COUNTS = ("skills_per_ad",)


def scores_of_version(version: VersionRow) -> Scores:
    """What the version's own run has measured."""
    return scores_of(version.metrics)


def scores_of(metrics: Mapping[str, Mapping[str, Any]]) -> Scores:
    """Of subject -> metrics, as a version's `metrics` or those of cells have them; subjects without metrics are left out."""
    found = {subject: metrics[subject] for subject in SUBJECTS if metrics.get(subject)}
    blocks = [Block(name, title, note, _measures(labels, found)) for name, title, note, labels in _BLOCKS]
    own = found.get("adapter", {})
    return Scores(
        partition=next((str(told["partition"]) for told in found.values() if told.get("partition")), None),
        subjects=tuple(_subject(subject, told) for subject, told in found.items()),
        blocks=tuple(block for block in blocks if block.measures),
        slices=_slices(own.get("slices", {})),
    )


def score(metrics: Mapping[str, Any], name: str) -> Score | None:
    """A score of a cell's metrics; None where it was not measured."""
    value = metrics.get(name)
    return None if value is None else Score(float(value), metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))


def _measures(labels: Mapping[str, str], metrics: Mapping[str, Mapping[str, Any]]) -> tuple[Measure, ...]:
    rows = []
    for name, label in labels.items():
        scores = {subject: found for subject, told in metrics.items() if (found := score(told, name)) is not None}
        if scores:
            rows.append(Measure(name, label, scores, share=name not in _COUNTS))
    return tuple(rows)


def _subject(name: str, told: Mapping[str, Any]) -> Subject:
    shots = f", {told['shots']} examples" if told.get("shots") else ""
    return Subject(
        name=name,
        label=SUBJECTS[name] + shots,
        f1=score(told, "f1"),
        ads=int(told.get("rows", 0)),
        labelled_ads=int(told.get("labelled_rows", 0)),
        gold_skills=told.get("gold_skills"),
        predicted_skills=told.get("predicted_skills"),
        excluded_trained_on=int(told.get("excluded_trained_on", 0)),
        excluded_near_copies=int(told.get("excluded_near_copies", 0)),
    )


def _slices(told: Mapping[str, Mapping[str, Any]]) -> tuple[Slice, ...]:
    found = []
    for name, metrics in told.items():
        kind, _, value = name.partition("=")
        f1 = score(metrics, "f1")
        if f1 is not None:
            found.append(Slice(name, kind, value, int(metrics["ads"]), int(metrics["gold_skills"]), f1))
    kinds = list(dict.fromkeys(each.kind for each in found))
    return tuple(sorted(found, key=lambda each: (kinds.index(each.kind), -each.ads, each.name)))
