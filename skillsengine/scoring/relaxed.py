"""Scores that forgive a near miss, and those of single ads: beside the headline of `metrics`, never instead of it.

For ad i with its sets of normalized gold skills G_i and predicted skills P_i:

token overlap   the words of all skills of an ad as bags; both = sum |bag(G_i) & bag(P_i)|, over the sizes of the bags. As the
                token F1 of SQuAD (Rajpurkar et al., 2016, arXiv:1606.05250, section 6.1), summed over ads before dividing
fuzzy           a gold and a predicted skill match where their normalized indel similarity is at least 90 of 100 (rapidfuzz'
                `ratio`: 100 x 2 x longest common subsequence / both lengths); each skill is in one match at most, and of all
                ways to match the one with the most matches, then the highest similarity, is taken (scipy's
                `linear_sum_assignment`). Identical skills are matches too, so fuzzy scores are never below the headline
macro           precision, recall and F1 of each ad, averaged over the ads that have gold or predicted skills; the headline is
                ruled by the ads with many skills, this one counts each ad once
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from rapidfuzz import fuzz, process
from scipy.optimize import linear_sum_assignment

from skillsengine.scoring.matching import skill_set
from skillsengine.scoring.metrics import SetScores, ratio

FUZZY = 90
"""Similarity from which two spellings match, 0 to 100."""
_WORD = re.compile(r"\w+[+#]*|[^\w\s]")

Pairs = Sequence[tuple[Iterable[str], Iterable[str]]]
"""(gold skills, predicted skills), one pair an ad; the skills need not be normalized."""


def token_overlap(pairs: Pairs) -> SetScores:
    """Counts and scores of words."""
    gold_words = predicted_words = both = 0
    for gold, predicted in pairs:
        first, second = word_bag(skill_set(gold)), word_bag(skill_set(predicted))
        gold_words += first.total()
        predicted_words += second.total()
        both += (first & second).total()
    return SetScores(gold_words, predicted_words, both)


def fuzzy(pairs: Pairs) -> SetScores:
    """Counts and scores of skills that match at least nearly."""
    gold_skills = predicted_skills = both = 0
    for gold, predicted in pairs:
        first, second = sorted(skill_set(gold)), sorted(skill_set(predicted))
        gold_skills += len(first)
        predicted_skills += len(second)
        both += matches(first, second)
    return SetScores(gold_skills, predicted_skills, both)


def matches(gold: Sequence[str], predicted: Sequence[str]) -> int:
    """How many of the normalized skills can be matched one to one."""
    if not gold or not predicted:
        return 0
    similar = process.cdist(gold, predicted, scorer=fuzz.ratio, score_cutoff=FUZZY, dtype=np.float64)
    # A match is worth more than any similarity could add: first as many as possible, then the nearest.
    worth = np.where(similar >= FUZZY, 1_000 + similar, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return int((worth[rows, columns] > 0).sum())


def macro(pairs: Pairs) -> dict[str, float]:
    """{"macro_precision", "macro_recall", "macro_f1"}; 0.0 where no ad has a skill."""
    ads = [SetScores(len(g), len(p), len(g & p)) for g, p in ((skill_set(g), skill_set(p)) for g, p in pairs) if g or p]
    return {f"macro_{name}": _mean([getattr(ad, name) for ad in ads]) for name in ("precision", "recall", "f1")}


def without_skills(pairs: Pairs) -> dict[str, float | int]:
    """{"empty_ads": labelled ads without a skill, "empty_ads_hit": those for which something was predicted,
    "false_positives_on_empty": how many skills that were, "false_positive_ads": the share that was hit,
    "false_positives_per_empty_ad": the mean number of skills}; 0.0 where no ad is empty."""
    said = [len(skill_set(predicted)) for gold, predicted in pairs if not skill_set(gold)]
    hit = sum(count > 0 for count in said)
    return {
        "empty_ads": len(said),
        "empty_ads_hit": hit,
        "false_positives_on_empty": sum(said),
        "false_positive_ads": ratio(hit, len(said)),
        "false_positives_per_empty_ad": ratio(sum(said), len(said)),
    }


def relaxed_scores(pairs: Pairs) -> dict[str, float | int]:
    """All of these by name, as they stand in `metrics.json`."""
    found: dict[str, float | int] = {}
    for prefix, scores in (("overlap", token_overlap(pairs)), ("fuzzy", fuzzy(pairs))):
        found |= {f"{prefix}_{name}": getattr(scores, name) for name in ("precision", "recall", "f1")}
    return found | macro(pairs) | without_skills(pairs)


def word_bag(skills: Collection[str]) -> Counter[str]:
    """The words of normalized skills, with how often each is there."""
    return Counter(word for skill in skills for word in _WORD.findall(skill))


def _mean(values: Sequence[float]) -> float:
    return ratio(sum(values), len(values))
