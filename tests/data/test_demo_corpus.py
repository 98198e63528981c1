"""The rules of the demo corpus that a program can check; `data/demo/README.md` tells the others."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections import Counter, defaultdict
from datetime import date
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "data" / "demo"
MONTHS = [f"2025-{month:02}" for month in range(1, 13)] + [f"2026-{month:02}" for month in range(1, 7)]
Ad = dict[str, Any]


def _read(month: str) -> list[Ad]:
    return [json.loads(line) for line in (FOLDER / f"{month}.jsonl").read_text(encoding="utf-8").splitlines()]


CORPUS = {month: _read(month) for month in MONTHS}
ADS = [ad for ads in CORPUS.values() for ad in ads]
EACH = pytest.mark.parametrize("ad", ADS, ids=lambda ad: ad["id"])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _skills(months: list[str]) -> set[str]:
    return {skill.casefold() for month in months for ad in CORPUS[month] for skill in ad["skills"]}


def test_there_are_18_files_of_24_ads_and_no_other_json_lines() -> None:
    assert sorted(path.name for path in FOLDER.glob("**/*.jsonl")) == [f"{month}.jsonl" for month in MONTHS]
    assert {month: len(ads) for month, ads in CORPUS.items()} == dict.fromkeys(MONTHS, 24)


@pytest.mark.parametrize("month", MONTHS)
def test_ids_count_up_with_the_posting_date(month: str) -> None:
    ads = CORPUS[month]
    assert [ad["id"] for ad in ads] == [f"demo-{month}-{number:02}" for number in range(1, 25)]
    posted = [date.fromisoformat(ad["posted"]) for ad in ads]
    assert all(day.isoformat().startswith(month) for day in posted)
    assert all(before <= after for before, after in pairwise(posted))


@pytest.mark.parametrize("month", MONTHS)
def test_one_ad_in_ten_has_no_skills(month: str) -> None:
    assert sum(not ad["skills"] for ad in CORPUS[month]) in (2, 3)


@EACH
def test_fields_length_and_characters(ad: Ad) -> None:
    assert list(ad) == ["id", "job_description", "skills", "posted"]
    text = ad["job_description"]
    assert 30 <= len(text.split()) <= 90
    assert text == text.strip() == unicodedata.normalize("NFC", text)
    assert not re.search(r"https?:|www\.|@|“|”|’|  ", text), "no links, no e-mail, ASCII quotes, single spaces"


@EACH
def test_skills_are_verbatim_whole_words_in_order(ad: Ad) -> None:
    text, skills = ad["job_description"], ad["skills"]
    assert not skills or 3 <= len(skills) <= 8
    places = [re.search(rf"(?<!\w){re.escape(skill)}(?!\w)", text) for skill in skills]
    assert all(places), [skill for skill, place in zip(skills, places, strict=True) if place is None]
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)
    # Two labels of one ad that overlap would count one mention twice.
    assert not [
        (a, b) for a, b in combinations(skills, 2) if a.casefold() in b.casefold() or b.casefold() in a.casefold()
    ]
    assert all(skill == skill.strip(" .,;:()\n") for skill in skills)


def test_labels_follow_one_convention() -> None:
    """Spans begin with the skill itself, and traits are not skills."""
    lead_in = re.compile(
        r"^(a|an|the|good|basic|solid|strong|current|valid|fluent|experience|knowledge)\s", re.IGNORECASE
    )
    trait = re.compile(
        r"\b(motivated|motivation|reliab\w+|friendl\w+|punctual\w*|flexib\w+|team ?work|team player|patience|patient"
        r"|humour|curio\w+|independence|discretion|years)\b",
        re.IGNORECASE,
    )
    labels = [skill for ad in ADS for skill in ad["skills"]]
    assert [label for label in labels if lead_in.search(label) or trait.search(label)] == []
    assert max(len(label.split()) for label in labels) <= 5


def test_no_six_words_stand_in_more_than_three_ads() -> None:
    ads_of: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for ad in ADS:
        for gram in _grams(ad["job_description"], 6):
            ads_of[gram].add(ad["id"])
    assert {" ".join(gram): ids for gram, ids in ads_of.items() if len(ids) > 3} == {}


def test_no_two_ads_are_near_copies_or_start_alike() -> None:
    grams = {ad["id"]: _grams(ad["job_description"], 5) for ad in ADS}
    alike = {(a, b): len(grams[a] & grams[b]) / len(grams[a] | grams[b]) for a, b in combinations(grams, 2)}
    assert {pair: share for pair, share in alike.items() if share > 0.1} == {}
    starts = Counter(tuple(_words(ad["job_description"])[:3]) for ad in ADS)
    assert [start for start, count in starts.items() if count > 1] == []


def test_most_skills_of_the_last_month_are_new() -> None:
    last, earlier = _skills(MONTHS[-1:]), _skills(MONTHS[:-1])
    assert len(last - earlier) >= len(last) / 2


def test_every_ad_has_an_occupation_and_there_are_many() -> None:
    with (FOLDER / "occupations.tsv").open(encoding="utf-8", newline="") as file:
        table = {row["id"]: row["occupation"] for row in csv.DictReader(file, delimiter="\t")}
    assert list(table) == [ad["id"] for ad in ADS]
    assert len(set(table.values())) >= 25
    assert max(Counter(table.values()).values()) <= 14


DRIFT = {
    "fading": (
        "gas boiler servicing",
        "Jenkins",
        "jQuery",
        "paper filing",
        "VMware",
        "cold calling",
        "diesel engine overhaul",
    ),
    "rising": (
        "heat pump commissioning",
        "prompt engineering",
        "machine translation post-editing",
        "EV charger installation",
        "Terraform",
        "high-voltage vehicle isolation",
        "carbon accounting",
    ),
    "seasonal": ("stocktaking", "tax return preparation", "open-water lifeguarding", "Christmas grotto staffing"),
}
QUARTERS = [MONTHS[first : first + 3] for first in range(0, 18, 3)]


def _mentions(terms: tuple[str, ...], months: list[str]) -> int:
    """Ads that ask for one of the terms, a term at a time."""
    return sum(skill in terms for month in months for ad in CORPUS[month] for skill in ad["skills"])


def test_skills_come_and_go() -> None:
    counts = {kind: [_mentions(terms, quarter) for quarter in QUARTERS[:4]] for kind, terms in DRIFT.items()}
    assert counts["fading"] == sorted(counts["fading"], reverse=True)
    assert counts["rising"] == sorted(counts["rising"])
    assert counts["fading"][0] >= 5 * counts["fading"][3]
    assert counts["rising"][3] >= 5 * max(counts["rising"][0], 1)
    summer, winter = ["2025-06", "2025-07", "2025-08"], ["2025-11", "2025-12"]
    assert _mentions(("open-water lifeguarding",), summer) > _mentions(("open-water lifeguarding",), winter) == 0
    assert _mentions(("Christmas grotto staffing",), winter) > _mentions(("Christmas grotto staffing",), summer) == 0


def test_the_data_card_counts_the_drift() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for terms in DRIFT.values():
        for term in terms:
            counts = " | ".join(str(_mentions((term,), quarter)) for quarter in QUARTERS)
            assert f"| {term} | {counts} |" in card


def test_the_data_card_tells_the_truth() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    last, earlier = _skills(MONTHS[-1:]), _skills(MONTHS[:-1])
    occupations = [line.split("\t")[1] for line in (FOLDER / "occupations.tsv").read_text().splitlines()[1:]]
    new_occupations = set(occupations[-24:]) - set(occupations[:-24])
    assert f"{sum(len(ad['skills']) for ad in ADS)} labels" in card
    assert f"{sum(not ad['skills'] for ad in ADS)} ads" in card
    assert f"{len(set(occupations))}, in `occupations.tsv`" in card
    assert (
        f"{len(new_occupations)} of its 24 occupations, and {len(last - earlier)} of its {len(last)} distinct" in card
    )
    assert f"{sum(len(ad['job_description'].split()) for ad in ADS) / len(ADS):.0f} on average" in card
