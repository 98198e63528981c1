"""The column with the ad: among titles, notices of the employer, requirements and lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess_text import guess_text
from tests.draft.support import Rows, ads, columns, read_jsonl, renamed, with_column

_ABOUT = (
    "Founded in 1974, Example Works is a leading maker of parts for many branches. Our people are our greatest asset, and we "
    "are an equal opportunity employer: we look at all applications without regard to origin, age or faith. "
) * 6


def text_of(rows: Rows, option: str | None = None) -> tuple[str, str, str]:
    column, choice = guess_text(columns(rows), option)
    assert column.name == choice.value
    return choice.value, choice.why, choice.doubt


def with_all(rows: Rows, **more: Any) -> Rows:
    return [{**more, **row} for row in rows]


def test_the_longest_texts_are_the_ads() -> None:
    name, why, doubt = text_of(with_all(ads(20), title="Welder", city="Leeds"))
    assert (name, doubt) == ("text", "")
    assert why.startswith("the longest texts (204 ") and why.endswith("characters on average, 20 different of 20)")


@pytest.mark.parametrize("column", ["about_us", "company_description", "Unternehmen", "misc"])
def test_what_stands_in_every_row_is_no_ad(column: str) -> None:
    rows = with_all(ads(20), **{column: _ABOUT})
    assert text_of(rows)[0] == "text"


def test_the_employers_own_words_are_no_ad_even_where_all_differ() -> None:
    rows = with_column(ads(20), "company_description", [f"{_ABOUT[:500]} Site {number}." for number in range(20)])
    name, why, _ = text_of(rows)
    assert name == "text"
    assert why.startswith("long texts, and its name (")


def test_of_three_parts_of_an_ad_the_description_is_taken_and_the_others_told() -> None:
    rows = [
        {
            "title": f"Welder {number}",
            "requirements": f"You know how to weld pipes of {number} mm, and you work with care, alone as in a team. "
            * 3,
            "description": f"We build bridge number {number} and look for somebody who welds its parts by day. " * 3,
        }
        for number in range(12)
    ]
    name, _, doubt = text_of(rows)
    assert name == "description"
    assert doubt == (
        "`requirements` holds long texts too (240 characters on average): `--text requirements` takes that"
    )


def test_two_others_are_told_in_the_plural() -> None:
    rows = [
        {name: f"{name} {number} " + "of the work that is to be done here " * 8 for name in "abc"}
        for number in range(9)
    ]
    assert "`b`, `c` hold long texts too" in text_of(rows)[2]


@pytest.mark.parametrize("write", [", ".join, "; ".join, "|".join, "\n".join, repr, str])
def test_a_long_list_of_skills_is_no_ad(write: Any) -> None:
    skills = [
        "computer vision",
        "machine learning",
        "project management",
        "C++",
        "public speaking",
        "Linux",
        "SQL",
        "Go",
    ]
    rows = with_column(ads(10), "all_that_counts", [write([*skills * 8, str(number)]) for number in range(10)])
    name, _, doubt = text_of(rows)
    assert (name, doubt) == ("text", "")


@pytest.mark.parametrize(
    "name", ["Stellenbeschreibung", "Texte de l'annonce", "описание", "a: b #c\n[d]", " ", "text ", 'ad\'s "body"']
)
def test_names_of_all_kinds(name: str) -> None:
    assert text_of(renamed(ads(9), {"text": name, "skills": "x"}))[0] == name


def test_missing_texts_and_other_values_are_told() -> None:
    rows: Rows = [*ads(20, skills=False), {"text": None}, {"text": "   "}, {"text": 7}, {}]
    assert text_of(rows)[1].endswith("21 different of 21, 3 missing, 1 are no text)")


def test_a_single_row() -> None:
    assert text_of(ads(1))[0] == "text"


def test_an_option_wins_whatever_the_column_holds() -> None:
    rows = with_all(ads(20), title="Welder")
    name, why, doubt = text_of(rows, "title")
    assert (name, doubt) == ("title", "")
    assert why == "as --text says; 6 characters on average, 1 different of 20"


def test_an_option_without_any_text_is_refused() -> None:
    with pytest.raises(DraftError) as error:
        text_of(with_all(ads(3), number=7), "number")
    assert str(error.value).startswith(
        "--text number: no row has a text there, so there would be no ad to read. The columns are "
    )
    assert "`number` (a number)" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [{"title": "Welder", "n": 1}],
            "no column looks like the text of an ad (at least 8 words and 60 characters on average). The columns are `title` "
            "(6 characters, 1 words on average), `n` (a number). If one of them holds short ads, name it with --text; if the "
            "columns look wrong, is the first line the names of the columns, and the separator the file's own?",
        ),
        (
            [{"job": {"description": "We weld. " * 50}, "id": 1}],
            "The columns are `job` (an object), `id` (a number). An ad inside of an object (`job`) is not found: write it as a "
            "column of its own.",
        ),
        ([{}], "The rows have no columns."),
        ([{"text": None}, {"text": ""}], "The columns are `text` (null)."),
        ([{f"c{number}": 1 for number in range(20)}], "`c11` (a number) and 8 more."),
    ],
)
def test_no_ads_at_all(rows: Rows, told: str) -> None:
    with pytest.raises(DraftError) as error:
        text_of(rows)
    assert told in str(error.value)


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["document", "paragraph", "sentence"])
def test_real_ads_among_titles_notices_and_lists(shared_data: Path, kind: str) -> None:
    rows = read_jsonl(shared_data / "skillspan" / kind / "test.jsonl")
    table = [
        {
            "titel": row["job_description"][:50],
            "kenntnisse": "; ".join(row["skills"]),
            "unternehmen": _ABOUT,
            "anzeige": row["job_description"],
        }
        for row in rows
    ]
    name, _, doubt = text_of(table)
    assert (name, doubt) == ("anzeige", "")
