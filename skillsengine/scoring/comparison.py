"""Two subjects compared on the same ads. Standard library only; `intervals` says how sure the difference is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.scoring.matching import skill_set
from skillsengine.scoring.metrics import SetScores, set_scores

METRICS = ("f1", "precision", "recall")


class ComparisonError(Exception):
    """Two sets of predictions cannot be compared; the text says why."""


@dataclass(frozen=True)
class Comparison:
    """The scores of two subjects, recomputed on the labelled ads that both were scored on."""

    metric: str
    rows: int
    """Number of those ads; 0 where there are none, and then both scores are 0.0."""
    a: float
    b: float
    scores_a: SetScores
    scores_b: SetScores
    ads: tuple[tuple[Sequence[str], Sequence[str], Sequence[str]], ...] = ()
    """(gold, predicted by a, predicted by b) of each of these ads."""

    @property
    def difference(self) -> float:
        return self.a - self.b


def compare(
    predictions_a: Sequence[Mapping[str, Any]], predictions_b: Sequence[Mapping[str, Any]], metric: str = "f1"
) -> Comparison:
    """Compare two `predictions.jsonl`, as lists of {"id", "key", "gold": [..] | None, "predicted": [..]}.

    Each subject leaves out other ads (those it was trained on), so scores are paired: only ads present in both count,
    and of these only the labelled ones. Ads are matched by id and text key; ads that agree in both, by their order.

    Raises ComparisonError for an unknown metric, and where the two were scored against different labels.
    """
    if metric not in METRICS:
        raise ComparisonError(f"{metric}: no score to compare by; it is one of {', '.join(METRICS)}.")
    pairs = paired(predictions_a, predictions_b)
    shared = [(a, b) for a, b in pairs if a["gold"] is not None and b["gold"] is not None]
    other = [a["id"] for a, b in shared if skill_set(a["gold"]) != skill_set(b["gold"])]
    if other:
        raise ComparisonError(
            f"{len(other)} of {len(shared)} ads carry different labels in the two sets of predictions (the first: "
            f"{other[0]}), so their scores mean different things. Score both on the same partition with the same "
            "`data.labels`."
        )
    scores_a = set_scores((a["gold"], a["predicted"]) for a, _ in shared)
    scores_b = set_scores((b["gold"], b["predicted"]) for _, b in shared)
    ads = tuple((a["gold"], a["predicted"], b["predicted"]) for a, b in shared)
    return Comparison(
        metric, len(shared), getattr(scores_a, metric), getattr(scores_b, metric), scores_a, scores_b, ads
    )


def paired(
    predictions_a: Sequence[Mapping[str, Any]], predictions_b: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(row of a, row of b) of each ad that both were asked for, with or without labels, in the order of a."""
    known_a, known_b = _by_identity(predictions_a), _by_identity(predictions_b)
    return [(row, known_b[identity]) for identity, row in known_a.items() if identity in known_b]


def _by_identity(predictions: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, int], Mapping[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for row in predictions:
        name = (str(row["id"]), str(row.get("key", "")))
        found[(*name, seen[name])] = row
        seen[name] += 1
    return found
