"""Scores of extracted skills, as sets. Standard library only: the gate uses it.

For ad i let G_i be the set of its normalized gold skills and P_i that of its normalized predicted skills
(`matching.normalize_skill`). The scores are micro-averaged: summed over ads first, divided once.

    true positives = sum |G_i & P_i|        precision = true positives / sum |P_i|
    f1 = 2 * true positives / (sum |G_i| + sum |P_i|)      recall = true positives / sum |G_i|

An ad without gold and without predicted skills adds nothing; a predicted skill in an ad without gold is a false
positive. A division by zero gives 0.0. Ads without labels (gold unknown, not empty) are no part of these scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from skillsengine.scoring.matching import is_verbatim, skill_set


def ratio(part: float, whole: float) -> float:
    """part / whole, and 0.0 where the whole is 0."""
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class SetScores:
    """Counts over a number of ads, and the scores that follow from them (all between 0 and 1)."""

    gold_skills: int = 0
    predicted_skills: int = 0
    true_positives: int = 0

    @property
    def precision(self) -> float:
        return ratio(self.true_positives, self.predicted_skills)

    @property
    def recall(self) -> float:
        return ratio(self.true_positives, self.gold_skills)

    @property
    def f1(self) -> float:
        return ratio(2 * self.true_positives, self.gold_skills + self.predicted_skills)

    def as_dict(self) -> dict[str, float | int]:
        """Counts and scores by name, as they stand in `metrics.json`."""
        counts: dict[str, float | int] = dict(vars(self))
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def set_scores(pairs: Iterable[tuple[Iterable[str], Iterable[str]]]) -> SetScores:
    """Scores over (gold skills, predicted skills), one pair an ad; the skills need not be normalized."""
    gold_skills = predicted_skills = true_positives = 0
    for gold, predicted in pairs:
        gold_set, predicted_set = skill_set(gold), skill_set(predicted)
        gold_skills += len(gold_set)
        predicted_skills += len(predicted_set)
        true_positives += len(gold_set & predicted_set)
    return SetScores(gold_skills, predicted_skills, true_positives)


def verbatim_rate(pairs: Iterable[tuple[Iterable[str], str]]) -> float:
    """Over (predicted skills, the ad's text): the share of predicted skills that stand in their ad character by
    character.

    Needs no labels. 0.0 where nothing was predicted.
    """
    hits = [is_verbatim(skill, text) for skills, text in pairs for skill in skills]
    return ratio(sum(hits), len(hits))


def parse_rate(parsed: Iterable[bool]) -> float:
    """The share of answers that could be read as a list of skills. 0.0 where there are none."""
    answers = list(parsed)
    return ratio(sum(answers), len(answers))
