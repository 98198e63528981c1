"""Drift: how far some ads are from those that a version was trained on. Needs no model and no score.

    PSI      population stability index of two binned samples: sum over the bins of (p - q) ln(p / q) (Siddiqi, 2006,
             "Credit Risk Scorecards"). From 0, for equal shares; without an upper end
    JS       Jensen-Shannon distance, the root of the divergence with logarithms to the base 2 (Lin, 1991; Endres & Schindelin,
             2003; scipy's `jensenshannon`). 0 for equal shares, 1 where nothing is shared
    unseen   share of the skills, counted ad by ad, that no training ad is labelled with

Of few ads all of these are far from zero by chance alone (for PSI: Yurdakul & Naranjo, 2020). So beside each stands what ads
of the training data itself would show: as many of them as the partition has, at most half, are held out at random and compared
with the rest, again and again. `chance` is the 99th percentile of that. The seed is fixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import jensenshannon

BINS = 10
TOP = 50
"""Skills of the training data whose shares are compared; the others are one."""
DRAWS = 400
CHANCE = 0.99
"""Five measures are looked at, so of 20 partitions without drift about one has a value that chance makes."""
_SEED = 20_240_229
_AT_ONCE = 25
"""Draws whose skills are counted at once: memory is 8 bytes times this times the distinct skills, a few times over."""

Numbers = NDArray[np.float64]
Skills = Sequence[frozenset[str]]
"""The distinct normalized skills of each ad (`matching.skill_set`)."""


@dataclass(frozen=True)
class Ads:
    """What is compared of some ads."""

    words: Numbers
    """Words of each ad, shape (ads,)."""
    tokens_per_word: Numbers
    """Of the same ads, by the version's tokenizer, shape (ads,)."""
    skills: Skills
    """Of those that have any said of them; their number may be another."""


@dataclass(frozen=True)
class Reference:
    """The training data."""

    ads: Ads
    """All of them or a sample."""
    labels: Mapping[str, int]
    """Skill -> how many ads of all training data are labelled with it."""


def measure(ads: Ads, reference: Reference) -> dict[str, Any]:
    """Plain JSON: {"ads", "reference_ads", "length", "tokens_per_word", "skills_per_ad": {"psi", "js", "chance"} each,
    "unseen_skills": {"share", "distinct", "chance"}, "top_skills": {"js", "chance"}}.

    `chance` is of the first number beside it. `distinct` counts a skill once, however many ads have it. None stands for what
    cannot be told: without ads or skills, or with less than two training ads.
    """
    known, skills = reference.ads, ads.skills
    counts, known_counts = _counts(skills), _counts(known.skills)
    unseen, top = _skills(skills, reference)
    return {
        "ads": len(ads.words),
        "reference_ads": len(known.words),
        "length": _shift(ads.words, known.words),
        "tokens_per_word": _shift(ads.tokens_per_word, known.tokens_per_word),
        "skills_per_ad": _shift(counts, known_counts),
        "unseen_skills": unseen,
        "top_skills": top,
    }


def psi(a: Numbers, b: Numbers) -> Numbers:
    """Population stability index of counts in bins, shape (..., bins) -> (...); the same the other way round.

    An ad's weight, spread as both together are, is added to each side: a bin that is empty on one side would make it infinite.
    Raises ValueError for a side without counts.
    """
    size_a, size_b = _sizes(a, b)
    pooled = (a + b) / (size_a + size_b)
    p, q = (a + pooled) / (size_a + 1), (b + pooled) / (size_b + 1)
    ratio = np.divide(p, q, out=np.ones_like(p), where=q > 0)  # q is 0 only where p is, too
    index: Numbers = ((p - q) * np.log(ratio)).sum(axis=-1)
    return index


def js(a: Numbers, b: Numbers) -> Numbers:
    """Jensen-Shannon distance of counts in bins, shape (..., bins) -> (...). Raises ValueError for a side without counts."""
    _sizes(a, b)
    # Of nearly equal shares rounding can make a divergence of -1e-17, whose root is no number.
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(jensenshannon(a, b, base=2, axis=-1), nan=0.0)
    bounded: Numbers = np.minimum(distance, 1.0)
    return bounded


def edges(values: Numbers) -> Numbers:
    """Inner borders of at most `BINS` bins of about equally many of `values`; each bin holds its upper border.

    There are fewer where many values are equal. Where nearly all are, that value has a bin of its own.
    """
    deciles = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    inner = np.unique(deciles[deciles < values.max()])
    return inner if len(inner) else np.array([np.nextafter(deciles[0], -np.inf), deciles[0]])


def held_out(count: int, size: int) -> NDArray[np.bool_]:
    """Which of `count` reference ads are held out in each draw: `size` of them, at most half; shape (DRAWS, count)."""
    drawn = np.zeros((DRAWS, count), np.bool_)
    drawn[:, : min(size, count // 2)] = True
    return np.random.default_rng(_SEED).permuted(drawn, axis=1)


def _sizes(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
    sizes = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    if not all(np.all(size > 0) for size in sizes):
        raise ValueError("drift: nothing can be compared with a sample of no counts")
    return sizes


def _shift(values: Numbers, known: Numbers) -> dict[str, float] | None:
    """Of a number that each ad has."""
    if not len(values) or len(known) < 2:
        return None
    borders = edges(known)
    bins = len(borders) + 1
    places = np.searchsorted(borders, known)
    counted = np.bincount(np.searchsorted(borders, values), minlength=bins).astype(np.float64)
    all_known = np.bincount(places, minlength=bins).astype(np.float64)
    drawn = held_out(len(known), len(values)).astype(np.float64) @ np.eye(bins)[places]
    return _rounded(
        psi=psi(counted, all_known),
        js=js(counted, all_known),
        chance=np.quantile(psi(drawn, all_known - drawn), CHANCE),
    )


def _skills(skills: Skills, reference: Reference) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """(share of unseen ones, distance of the top ones' shares)."""
    said: Counter[str] = Counter(skill for ad in skills for skill in ad)
    names = {skill: place for place, skill in enumerate(sorted(reference.labels))}
    if not said or len(reference.ads.skills) < 2:
        return None, None
    unseen = {skill: count for skill, count in said.items() if skill not in names}
    told = {"share": sum(unseen.values()) / said.total(), "distinct": len(unseen) / len(said)}
    if not names:
        return _rounded(**told, chance=0.0), None
    labels = np.array([reference.labels[skill] for skill in names], np.float64)
    counted = np.array([said[skill] for skill in names], np.float64)
    shares, distances = _by_chance(reference.ads.skills, names, labels, len(skills))
    top = _top(counted[None], labels[None], said.total())
    return (
        _rounded(**told, chance=_percentile(shares)),
        _rounded(js=top[0], chance=_percentile(distances)),
    )


def _by_chance(known: Skills, names: Mapping[str, int], labels: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """(shares of unseen skills, distances of the top ones) of the draws that hold out a skill at all."""
    ads = [place for place, ad in enumerate(known) for _ in ad]
    places = [names[skill] for ad in known for skill in ad]
    incidence = csr_array((np.ones(len(ads)), (ads, places)), shape=(len(known), len(names)))
    shares, distances = [], []
    drawn = held_out(len(known), size)
    for start in range(0, DRAWS, _AT_ONCE):
        held: Numbers = (incidence.T @ drawn[start : start + _AT_ONCE].T.astype(np.float64)).T
        rest = labels - held
        some = (held.sum(axis=1) > 0) & (rest.sum(axis=1) > 0)
        held, rest = held[some], rest[some]
        if len(held):
            total = held.sum(axis=1)
            shares.append((held * (rest == 0)).sum(axis=1) / total)
            distances.append(_top(held, rest, total))
    return np.concatenate([*shares, np.empty(0)]), np.concatenate([*distances, np.empty(0)])


def _top(counted: Numbers, known: Numbers, total: Any) -> Numbers:
    """JS distance over the `TOP` skills of `known` and all others together; both shape (draws, skills) -> (draws,). `total`:
    all counts of that side, those of skills that `known` lacks too."""
    order = np.argsort(-known, axis=1, kind="stable")[:, :TOP]
    a, b = (np.take_along_axis(counts, order, axis=1) for counts in (counted, known))
    others_a = np.reshape(total - a.sum(axis=1), (-1, 1))
    others_b = (known.sum(axis=1) - b.sum(axis=1))[:, None]
    return js(np.hstack([a, others_a]), np.hstack([b, others_b]))


def _counts(skills: Skills) -> Numbers:
    return np.array([len(ad) for ad in skills], np.float64)


def _percentile(values: Numbers) -> float:
    """1.0, which nothing is above, where no draw could be made."""
    return float(np.quantile(values, CHANCE)) if len(values) else 1.0


def _rounded(**numbers: Any) -> dict[str, float]:
    return {name: round(float(number), 4) for name, number in numbers.items()}
