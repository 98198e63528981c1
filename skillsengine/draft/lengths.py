"""A distribution of lengths for the terminal, in tokens or, without a tokenizer, in words. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 100.0)
_BINS = 12


@dataclass(frozen=True)
class Lengths:
    """What is shown of a distribution."""

    unit: str
    """`tokens` or `words`."""
    count: int
    mean: float
    percentiles: Mapping[float, int]
    bins: tuple[tuple[int, int, int], ...]
    """(from, to, how many), both ends included; at most 12, all of one width."""


def lengths_of(values: Sequence[int], unit: str) -> Lengths:
    """`values`: not empty."""
    ordered = sorted(values)
    percentiles = {percentile: at_percentile(ordered, percentile) for percentile in PERCENTILES}
    return Lengths(unit, len(ordered), sum(ordered) / len(ordered), percentiles, tuple(_bins(ordered)))


def at_percentile(ordered: Sequence[int], percentile: float) -> int:
    """The smallest of `ordered` (sorted, not empty) that at least `percentile` percent do not exceed, as `profile` counts."""
    return ordered[max(math.ceil(round(len(ordered) * percentile / 100, 9)), 1) - 1]


def _bins(ordered: Sequence[int]) -> list[tuple[int, int, int]]:
    low, high = ordered[0], ordered[-1]
    width = next(width for width in _widths() if high // width - low // width < _BINS)
    counts = [0] * (high // width - low // width + 1)
    for value in ordered:
        counts[value // width - low // width] += 1
    starts = range(low // width * width, high + 1, width)
    return [(start, start + width - 1, count) for start, count in zip(starts, counts, strict=True)]


def _widths() -> list[int]:
    """1, 2, 5, 10, 20, 50 ... : what people count in."""
    return [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
