"""How sure a score is, and whether two of them differ: bootstrap over ads, and a permutation test.

An ad is what is drawn anew: the skills of one ad stand or fall together, so drawing single skills would make intervals too
narrow. All scores are ratios of sums over ads (`metrics`), so an ad enters with its counts alone.

    interval     the percentile bootstrap (Efron & Tibshirani, 1993, chapter 13), ads drawn with replacement
    difference   the same on the paired ads: both subjects' counts of an ad are drawn together
    p value      two-sided, of a permutation test that swaps the two subjects ad by ad (Noreen, 1989; Yeh, 2000)

scipy does both. The seed is fixed: the same predictions always have the same interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test

from skillsengine.scoring.matching import skill_set

METRICS = ("f1", "precision", "recall")
CONFIDENCE = 0.95
RESAMPLES = 2_000
_AT_ONCE = 2_000_000
"""Ads drawn of the resamples that are computed at once, 8 bytes each, some times over. How many changes no number."""
_SEED = 20_240_229

Counts = NDArray[np.int64]
"""Shape (ads, 3): distinct gold skills, predicted skills, and those in both, of each ad."""


@dataclass(frozen=True)
class Interval:
    """Where a score lies with so much confidence; anywhere where there is one ad, or none: nobody knows how far ads differ."""

    low: float
    high: float
    confidence: float = CONFIDENCE


@dataclass(frozen=True)
class Difference:
    """The score of `a` minus that of `b` on the same ads."""

    value: float
    interval: Interval
    p_value: float

    @property
    def is_one(self) -> bool:
        """Whether it is a difference at all: the interval leaves out zero, and chance alone makes one as large too rarely. Of
        few ads the interval alone would say so too often."""
        outside = self.interval.low > 0 or self.interval.high < 0
        return outside and self.p_value <= 1 - self.interval.confidence


def counts(pairs: Iterable[tuple[Iterable[str], Iterable[str]]]) -> Counts:
    """Of (gold skills, predicted skills), one pair an ad; the skills need not be normalized."""
    rows = []
    for gold, predicted in pairs:
        gold_set, predicted_set = skill_set(gold), skill_set(predicted)
        rows.append((len(gold_set), len(predicted_set), len(gold_set & predicted_set)))
    return np.asarray(rows, np.int64).reshape(len(rows), 3)


def score_of(sums: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
    """The score of summed counts, shape (..., 3) -> (...); 0.0 where it would divide by zero, as in `metrics`."""
    gold, predicted, both = (sums[..., column].astype(np.float64) for column in range(3))
    part, whole = {
        "f1": (2 * both, gold + predicted),
        "precision": (both, predicted),
        "recall": (both, gold),
    }[metric]
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def interval(ads: Counts, metric: str, confidence: float = CONFIDENCE) -> Interval:
    """Of one subject's score."""
    if len(ads) < 2:
        return Interval(0.0, 1.0, confidence)
    low, high = _bootstrap(len(ads), lambda drawn: score_of(_sums(ads, drawn), metric), confidence)
    return Interval(float(low), float(high), confidence)


def difference(a: Counts, b: Counts, metric: str, confidence: float = CONFIDENCE) -> Difference:
    """Of two subjects on the same ads, row by row.

    Raises ValueError where they do not have the same ads.
    """
    return differences(a, b, (metric,), confidence)[metric]


def differences(
    a: Counts, b: Counts, metrics: Sequence[str] = METRICS, confidence: float = CONFIDENCE
) -> dict[str, Difference]:
    """The same by several scores, of the same draws: it takes hardly longer than one."""
    if a.shape != b.shape or not np.array_equal(a[:, 0], b[:, 0]):
        raise ValueError("two subjects are compared on the same ads with the same gold skills, row by row")

    def apart(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        """Shape (..., ads drawn) -> (metrics, ...)."""
        ours, theirs = _sums(a, drawn), _sums(b, drawn)
        return np.stack([score_of(ours, metric) - score_of(theirs, metric) for metric in metrics])

    values = apart(np.arange(len(a)))
    if len(a) < 2:
        low, high, p_values = np.full(len(metrics), -1.0), np.ones(len(metrics)), np.ones(len(metrics))
    elif np.array_equal(a, b):
        # Only where the two said something else can a swap change anything.
        low, high, p_values = values, values, np.ones(len(metrics))
    else:
        low, high = _bootstrap(len(a), apart, confidence)
        p_values = _p_values(a, b, metrics)
    found = zip(metrics, values, low, high, p_values, strict=True)
    return {
        metric: Difference(float(value), Interval(float(least), float(most), confidence), float(p_value))
        for metric, value, least, most, p_value in found
    }


def _sums(ads: Counts, drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shape (..., ads drawn) -> (..., 3)."""
    # Column by column: five times as fast as to sum rows of three.
    return np.stack([ads[:, column][drawn].sum(axis=-1) for column in range(ads.shape[1])], axis=-1)


def _batch(ads: int) -> int:
    return max(1, min(200, _AT_ONCE // ads))


def _bootstrap(count: int, statistic: object, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(low, high) of each number that the statistic has."""
    found = bootstrap(
        (np.arange(count),),
        lambda drawn, axis=-1: statistic(drawn),  # type: ignore[operator]
        n_resamples=RESAMPLES,
        batch=_batch(count),
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return found.low, found.high


def _p_values(a: Counts, b: Counts, metrics: Sequence[str]) -> NDArray[np.float64]:
    both = np.concatenate([a, b])
    count = len(a)

    def apart(first: NDArray[np.int64], second: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        ours, theirs = _sums(both, first), _sums(both, second)
        return np.stack([score_of(ours, metric) - score_of(theirs, metric) for metric in metrics], axis=-1)

    # Row numbers are what is swapped: `first` holds a's or b's row of each ad, `second` the other one.
    found = permutation_test(
        (np.arange(count), np.arange(count, 2 * count)),
        apart,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_batch(count),
        alternative="two-sided",
        rng=np.random.default_rng(_SEED),
    )
    p_values: NDArray[np.float64] = found.pvalue
    return p_values


def describe(found: Difference, better: str, worse: str) -> str:
    """In words: which is better and by how much, or that no difference is seen."""
    span = f"{found.interval.low:+.3f} to {found.interval.high:+.3f}"
    if not found.is_one:
        return f"no difference seen ({found.value:+.3f}, {span})"
    if found.value > 0:
        return f"{better} is better by {found.value:.3f} ({span})"
    return f"{worse} is better by {-found.value:.3f} ({-found.interval.high:+.3f} to {-found.interval.low:+.3f})"


def joined(*parts: Sequence[Counts]) -> list[Counts]:
    """The counts of several partitions behind one another, subject by subject."""
    return [np.concatenate(subject) for subject in zip(*parts, strict=True)]
