"""Percentiles, histograms and their picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from skillsengine.stages.lengths import at_percentile, bin_edges, describe, draw

LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("count", "percentile", "expected"),
    [
        (1, 50, 1),
        (2, 50, 1),
        (3, 50, 2),
        (200, 99.5, 199),
        (1000, 99.5, 995),
        (100, 99.5, 100),
        (100, 100, 100),
        (7, 100, 7),
    ],
)
def test_a_percentile_is_one_of_the_lengths(count: int, percentile: float, expected: int) -> None:
    assert at_percentile(np.arange(1, count + 1, dtype=np.int32), percentile) == expected


@given(LENGTHS, st.floats(50, 100))
def test_at_most_the_rest_is_longer_than_a_percentile(lengths: list[int], percentile: float) -> None:
    limit = at_percentile(np.array(lengths, np.int32), percentile)
    longer = sum(length > limit for length in lengths)
    assert longer <= len(lengths) * (100 - percentile) / 100 + 1e-6
    assert limit in lengths


@given(LENGTHS)
def test_the_histogram_counts_every_length_once(lengths: list[int]) -> None:
    whole = np.array(lengths, np.int32)
    described = describe(whole, of=whole)
    edges = described["histogram"]["edges"]
    assert len(edges) <= 41
    assert edges[0] <= min(lengths) and max(lengths) < edges[-1]
    assert described["histogram"]["counts"] == np.histogram(lengths, bins=edges)[0].tolist()
    assert described["tokens"] == sum(lengths)


def test_a_part_shares_the_edges_of_the_whole() -> None:
    whole = np.array([10, 20, 500], np.int32)
    assert describe(whole[1:2], of=whole)["histogram"]["edges"] == bin_edges(whole)
    assert bin_edges(np.array([5], np.int32)) == [5, 6]


@pytest.mark.parametrize(("max_length", "lengths"), [(16, [9]), (96, list(range(40, 90))), (4096, [30, 60])])
def test_the_picture_is_a_readable_png(tmp_path: Path, max_length: int, lengths: list[int]) -> None:
    path = tmp_path / "lengths.png"
    described = describe(np.array(lengths, np.int32), of=np.array(lengths, np.int32))
    draw({"train": described, "all": described}, max_length, "none of 9 rows cut", path)
    pixels = imread(path)
    assert pixels.shape[:2] == (600, 1080)
    assert len(np.unique(pixels)) > 10, "something is drawn on it"
