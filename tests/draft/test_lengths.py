"""Lengths for the terminal agree with those of `profile`."""

from __future__ import annotations

import numpy as np
import pytest

from skillsengine.draft.lengths import PERCENTILES, at_percentile, lengths_of
from skillsengine.stages import lengths as profile


@pytest.mark.parametrize("size", [1, 2, 3, 7, 200, 1000])
def test_percentiles_are_those_of_profile(size: int) -> None:
    values = np.random.default_rng(size).integers(1, 500, size).astype(np.int32)
    for percentile in (*PERCENTILES, 99.5, 0.1):
        assert at_percentile(sorted(values.tolist()), percentile) == profile.at_percentile(values, percentile)


@pytest.mark.parametrize("values", [[5], [1, 1, 1], [3, 17, 900], list(range(1, 5000, 7)), [100_000, 7]])
def test_every_length_is_in_one_bin(values: list[int]) -> None:
    seen = lengths_of(values, "tokens")
    assert seen.count == sum(count for _, _, count in seen.bins) == len(values)
    assert len(seen.bins) <= 12
    for low, high, count in seen.bins:
        assert count == sum(low <= value <= high for value in values)
    assert len({high - low for low, high, _ in seen.bins}) == 1


def test_statistics() -> None:
    seen = lengths_of([10, 20, 30, 100], "words")
    assert (seen.mean, seen.percentiles[50], seen.percentiles[100], seen.unit) == (40, 20, 100, "words")
