"""Which paths a source's path means."""

from __future__ import annotations

import pytest

from skillsengine.sources.errors import SourceError
from skillsengine.sources.patterns import Pattern

MATCHES = [
    ("a.csv", "a.csv", (None, False)),
    ("ads", "ads/a.csv", (None, True)),
    ("ads/", "ads/a.csv", (None, True)),
    ("ads/", "ads", None),
    ("ads", "ads/deep/a.csv", None),
    ("", "a.csv", (None, True)),
    ("ads/*", "ads/a.csv", (None, False)),
    ("ads/*", "ads/x/a.csv", None),
    ("ads/*/", "ads/x/a.csv", (None, True)),
    ("ads/*.csv", "ads/.a.csv", None),
    ("ads/.*.csv", "ads/.a.csv", (None, False)),
    ("ads/[ab].csv", "ads/b.csv", (None, False)),
    ("ads/[!ab].csv", "ads/b.csv", None),
    ("ads/a+b(1).csv", "ads/a+b(1).csv", (None, False)),
    ("{partition}.csv", "2026-03.csv", ("2026-03", False)),
    ("{partition}.csv", "2026-13.csv", None),
    ("{partition}.csv", "2026-03-01.csv", None),
    ("{partition}", "2026-03/a.csv", ("2026-03", True)),
    ("{partition}", "2026-03", ("2026-03", False)),
    ("x-{partition}/*.csv", "x-2026-03/a.csv", ("2026-03", False)),
    ("{partition}/{partition}.csv", "2026-03/2026-03.csv", ("2026-03", False)),
    ("{partition}/{partition}.csv", "2026-03/2026-04.csv", None),
    ("{partition}-{partition}.csv", "2026-03-2026-04.csv", None),
    ("./ads//a.csv", "ads/a.csv", (None, False)),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_match(pattern: str, path: str, expected: tuple[str | None, bool] | None) -> None:
    found = Pattern(pattern).match(path)
    assert (None if found is None else (found.key, found.in_folder)) == expected


PERIODS = {"day": ("2026-02-28", "2026-02-30"), "week": ("2026-W53", "2025-W53"), "quarter": ("2026-Q4", "2026-Q5")}


@pytest.mark.parametrize("period", PERIODS)
def test_keys_of_each_period(period: str) -> None:
    pattern = Pattern("ads-{partition}.csv", period)  # type: ignore[arg-type]
    key, no_key = PERIODS[period]
    found = pattern.match(f"ads-{key}.csv")
    assert found is not None
    assert found.key == key
    assert pattern.match(f"ads-{no_key}.csv") is None
    assert pattern.match("ads-2026-03.csv") is None


@pytest.mark.parametrize(
    ("path", "fixed", "stem"),
    [
        ("a/b/c.csv", 2, "c.csv"),
        ("a/b*/c.csv", 1, "b"),
        ("a/x-{partition}/c*.csv", 1, "x-"),
        ("*.csv", 0, ""),
        ("", 0, ""),
        ("a/b/", 1, "b"),
    ],
)
def test_what_a_listing_begins_with(path: str, fixed: int, stem: str) -> None:
    assert (Pattern(path).fixed, Pattern(path).stem) == (fixed, stem)


def test_two_stars_are_refused() -> None:
    with pytest.raises(
        SourceError, match=r"`\*\*` in ads/\*\*/a\.csv is not read\. Write one `\*` for each folder between"
    ):
        Pattern("ads/**/a.csv")
