"""Whether one subject is better than another on the ads that both were scored on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.pipeline.heavy import import_heavy
from skillsengine.scoring.comparison import Comparison, compare
from skillsengine.storage.artifact import Artifact


@dataclass(frozen=True)
class Difference:
    """The score of `a` minus that of `b` on the labelled ads that both were scored on."""

    metric: str
    ads: int
    gold_skills: int
    a: float
    b: float
    value: float
    low: float
    """Of the 95% interval of the paired bootstrap."""
    high: float
    p_value: float
    """Of the permutation test."""
    is_one: bool
    """Whether it is more than chance: both say so."""
    text: str
    """`the adapter is better by 0.110 (+0.050 to +0.170)`, or that no difference is seen."""


def difference(
    ours: Artifact, theirs: Artifact, our_name: str, their_name: str, metric: str = "f1"
) -> Difference | None:
    """Of two `evaluate` artifacts, by `scoring.intervals.difference`; None where no ad with labels is in both.

    Raises ComparisonError for an unknown metric, and where the two were scored against different labels.
    """
    found = compare(predictions(ours), predictions(theirs), metric)
    return measure(found, our_name, their_name) if found.rows else None


def measure(found: Comparison, our_name: str, their_name: str) -> Difference:
    """How sure the difference of a comparison (of at least one ad) is."""
    return measures(found, our_name, their_name, (found.metric,))[found.metric]


def measures(found: Comparison, our_name: str, their_name: str, metrics: Sequence[str]) -> dict[str, Difference]:
    """The same by several scores, whatever the comparison itself is by."""
    # By name: scipy is imported by those who compare, not by every command.
    intervals = import_heavy("skillsengine.scoring.intervals")
    a, b = (intervals.counts((ad[0], ad[side]) for ad in found.ads) for side in (1, 2))
    return {
        metric: Difference(
            metric=metric,
            ads=found.rows,
            gold_skills=found.scores_a.gold_skills,
            a=getattr(found.scores_a, metric),
            b=getattr(found.scores_b, metric),
            value=told.value,
            low=told.interval.low,
            high=told.interval.high,
            p_value=told.p_value,
            is_one=told.is_one,
            text=intervals.describe(told, our_name, their_name),
        )
        for metric, told in intervals.differences(a, b, metrics).items()
    }


def versus(ours: Artifact, theirs: Artifact, our_name: str, their_name: str) -> str | None:
    """`F1 against the lexicon: the adapter is better by 0.110 (+0.050 to +0.170)`; None where no ad with labels is in both."""
    found = difference(ours, theirs, our_name, their_name)
    return f"F1 against {their_name}: {found.text}" if found else None


def predictions(cell: Artifact) -> Sequence[dict[str, Any]]:
    """The lines of an `evaluate` artifact's `predictions.jsonl`."""
    # Not splitlines: what models write may hold any of the line breaks that Unicode knows.
    with cell.file("predictions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
