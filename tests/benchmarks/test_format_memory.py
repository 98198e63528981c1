"""The ads that the benchmark measures on, and what it makes of its figures."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.format_memory import SERIES, ads, ratios
from skillsengine.stages.rows import normalized_key


@pytest.mark.shared
@pytest.mark.parametrize("series", SERIES)
def test_ads_are_drawn_by_a_seed_with_ids_of_their_own(series: str) -> None:
    drawn = list(islice(ads(10**6, series), 600))
    assert drawn == list(ads(600, series))
    assert len({ad["id"] for ad in drawn}) == 600
    assert all(skill in ad["job_description"] for ad in drawn for skill in ad["skills"])
    assert sum(bool(ad["skills"]) for ad in drawn) > 300


@pytest.mark.shared
@pytest.mark.nightly
def test_one_series_repeats_texts_and_the_other_does_not() -> None:
    texts = {series: len({normalized_key(ad["job_description"]) for ad in ads(20_000, series)}) for series in SERIES}
    assert texts["repeated"] < 8_500
    assert texts["distinct"] > 19_990


def test_ratios_are_against_the_smallest_size() -> None:
    rows = [
        {"stage": "format", "series": "repeated", "rows": rows, "peak_memory_mb": peak}
        for rows, peak in ((1_000, 200.0), (101_000, 210.0))
    ]
    assert ratios(rows) == {
        "format, repeated, 101000 to 1000 rows": {"peak_memory": 1.05, "bytes_a_further_row": 100.0}
    }
