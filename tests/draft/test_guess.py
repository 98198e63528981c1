"""All guesses together: real tables under other names, odd ones, and any table at all."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess import Guess, Options, make_guess
from skillsengine.draft.look import Sample
from skillsengine.draft.place import DataFile, Place, find_place
from skillsengine.sources.reading.rows import RawRow
from tests.draft.support import (
    NOW,
    Rows,
    ads,
    columns,
    guess_file,
    guess_rows,
    looked_at,
    read_jsonl,
    renamed,
    write_table,
)

_ABOUT = (
    "We are a company of long standing, and all that we do, we do for the people who work here and for our clients. "
    * 9
)
_GERMAN = {"id": "Kennziffer", "posted": "Datum", "job_description": "Stellenbeschreibung", "skills": "Fähigkeiten"}
_FRENCH = {
    "posted": "date de publication",
    "skills": "compétences",
    "job_description": "texte de l'annonce",
    "id": "référence",
}
_BARE = {"job_description": "c", "skills": "d", "id": "a", "posted": "b"}


def told(guess: Guess) -> dict[str, str | None]:
    """The columns."""
    labels = guess.labels.column
    dates = guess.dates if guess.dates is not None and guess.dates.active else None
    return {
        "text": guess.text.value,
        "labels": labels.value if labels else None,
        "id": guess.id.value if guess.id else None,
        "date": dates.column.value if dates else None,
    }


@pytest.mark.shared
@pytest.mark.parametrize("names", [_GERMAN, _FRENCH, _BARE], ids=["german", "french", "bare"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_real_dated_ads_under_other_names(
    shared_data: Path, tmp_path: Path, names: dict[str, str], suffix: str
) -> None:
    rows = [
        row for month in range(3, 7) for row in read_jsonl(shared_data / "history" / "hn" / f"2016-{month:02}.jsonl")
    ]
    table = [{**row, "company": "Example", "about": _ABOUT} for row in renamed(rows, names)]
    guess = guess_file(write_table(tmp_path / f"ads{suffix}", table, ";"))
    assert told(guess) == {
        "text": names["job_description"],
        "labels": names["skills"],
        "id": names["id"],
        "date": names["posted"],
    }
    assert guess.labels.label_format.value == ("json" if suffix == ".csv" else "list")
    assert (guess.period, guess.keys) == ("month", ("2016-03", "2016-04", "2016-05", "2016-06"))
    assert guess.doubts == ()


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["document", "paragraph"])
@pytest.mark.parametrize("names", [_GERMAN, _FRENCH, _BARE], ids=["german", "french", "bare"])
def test_real_ads_in_a_folder_of_splits(shared_data: Path, tmp_path: Path, kind: str, names: dict[str, str]) -> None:
    for split in ("train", "dev", "test"):
        rows = read_jsonl(shared_data / "skillspan" / kind / f"{split}.jsonl")
        table = [{**row, names["skills"]: "; ".join(row[names["skills"]])} for row in renamed(rows, names)]
        write_table(tmp_path / f"{split}.csv", table)
    guess = guess_file(tmp_path)
    assert told(guess) == {"text": names["job_description"], "labels": names["skills"], "id": names["id"], "date": None}
    assert guess.labels.label_format.value == "semicolon"
    assert (guess.period, guess.keys) == (None, ())
    assert len(guess.doubts) == 1 and "% of the rows have no date in" in guess.doubts[0]


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["hn", "skillspan"])
def test_real_months_in_files_of_their_own(shared_data: Path, folder: str) -> None:
    place, sample = looked_at(shared_data / "history" / folder)
    guess = make_guess(place, sample, Options(), NOW)
    assert told(guess) == {"text": "job_description", "labels": "skills", "id": "id", "date": None}
    assert (guess.dates, guess.period, len(guess.keys)) == (None, "month", 54 if folder == "hn" else 9)
    told_of_layers = (
        "`skills_knowledge`, `skills_soft_or_task` could hold skills too: `--labels skills_knowledge` takes that"
    )
    assert guess.doubts == (() if folder == "hn" else (told_of_layers,))


@pytest.mark.shared
def test_real_ads_as_they_are(shared_data: Path) -> None:
    guess = guess_file(shared_data / "skillspan" / "document" / "train.jsonl")
    assert told(guess) == {"text": "job_description", "labels": "skills", "id": "id", "date": None}
    assert [doubt[:40] for doubt in guess.doubts] == [
        "`skills_knowledge`, `skills_soft_or_task",
        "43% of the rows have no date in `posted`",
    ]


@pytest.mark.shared
def test_a_table_of_a_job_board_with_thirty_columns(shared_data: Path, tmp_path: Path) -> None:
    real = [
        row for month in range(3, 7) for row in read_jsonl(shared_data / "history" / "hn" / f"2016-{month:02}.jsonl")
    ]
    rows = []
    for n, row in enumerate(real):
        listed = datetime.fromisoformat(row["posted"]).replace(tzinfo=UTC).timestamp() * 1000
        rows.append(
            {
                "company_name": "Example",
                "company_id": 2_774_458 + n * 7 % 1000,
                "job_id": 3_901_980_000 + n * 37 % 480,
                "title": row["job_description"][:40].partition("\n")[0],
                "max_salary": 90_000.0 + n if n % 3 else None,
                "location": "Leeds, UK",
                "views": n % 9,
                "expiry": listed + 2_592_000_000,
                "closed_time": listed + 864_000_000 if n % 4 == 0 else None,
                "listed_time": listed,
                "job_posting_url": f"https://example.org/jobs/{3_901_980_000 + n}/?trk=jobs",
                "application_type": "ComplexOnsiteApply",
                "formatted_experience_level": "Entry level" if n % 2 else None,
                "skills_desc": "We look for somebody who can be trusted, and who has worked with people."
                if n % 5 == 0
                else None,
                "company_description": _ABOUT if n % 2 else _ABOUT[:500],
                "benefits": "Medical insurance, 401(k), Vision insurance",
                "industry": "Software Development, Information Technology",
                "skills": ",".join(row["skills"]),
                "description": row["job_description"],
                "fips": 36_061 + n % 3,
            }
        )
    guess = guess_file(write_table(tmp_path / "postings.csv", rows))
    assert told(guess) == {"text": "description", "labels": "skills", "id": "job_id", "date": "listed_time"}
    assert guess.labels.label_format.value == "comma"
    assert guess.keys == ("2016-03", "2016-04", "2016-05", "2016-06")
    assert guess.doubts == ()


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    rows = [
        {"n": n, "seen": datetime(2026, 1 + n % 6, 3, n % 24, tzinfo=UTC), "raw": b"\x00", "pay": Decimal("1.5"), **row}
        for n, row in enumerate(ads(120))
    ]
    rows[5]["skills"] = None
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "ads.parquet")
    guess = guess_file(tmp_path / "ads.parquet")
    assert told(guess) == {"text": "text", "labels": "skills", "id": "n", "date": "seen"}
    assert (guess.labels.label_format.value, guess.period) == ("list", "month")


def test_no_labels_are_told_with_what_is_left_over() -> None:
    guess = guess_rows([{**row, "n": n, "branch": "steel"} for n, row in enumerate(ads(20, skills=False))])
    assert told(guess) == {"text": "text", "labels": None, "id": "n", "date": None}
    assert guess.doubts == (
        "no column looks like the skills of an ad (left over: `n`, `branch`): without labels nothing can be trained. If one of "
        "them holds skills, name it with --labels; if the labels stand elsewhere, join them to the ads first",
    )


def test_labels_that_cannot_be_read_are_told_instead() -> None:
    guess = guess_rows([{"text": row["text"], "skills": {"all": row["skills"]}} for row in ads(20)])
    (doubt,) = guess.doubts
    assert doubt.startswith(
        "`skills` is called like labels, but no row of it can be read: it holds an object; a row holds"
    )


def test_dates_that_cannot_be_read_are_told() -> None:
    guess = guess_rows([{**row, "posted": "3/9/2026"} for row in ads(20)])
    assert guess.dates is None
    assert guess.doubts == (
        "`posted` is called like a date, but `3/9/2026` can be read as day and month or as month and day; write it as "
        "YYYY-MM-DD, such as 2026-03-09",
    )


def test_one_row() -> None:
    guess = guess_rows([{"id": "a", "posted": "2026-03-09", **ads(1)[0]}])
    assert told(guess) == {"text": "text", "labels": "skills", "id": "id", "date": None}


def test_columns_with_odd_names(tmp_path: Path) -> None:
    names = {"id": "№", "posted": 'wann?: "#"', "text": "Text\nder Anzeige", "skills": "{skills} & ${more}, 'x' "}
    rows = [{"id": f"ad-{n}", "posted": f"2026-0{1 + n % 6}-03", **row} for n, row in enumerate(ads(90))]
    guess = guess_file(write_table(tmp_path / "ads.jsonl", renamed(rows, names)))
    assert told(guess) == {"text": names["text"], "labels": names["skills"], "id": names["id"], "date": names["posted"]}


def test_very_many_columns_are_told() -> None:
    rows: Rows = [{**row, **{f"only-{n}-{m}": m for m in range(10)}} for n, row in enumerate(ads(200))]
    guess = guess_rows(rows)
    assert told(guess)["text"] == "text" and told(guess)["labels"] == "skills"
    assert guess.doubts[-1] == "the rows have 2,002 different columns; 1,702 that are rarely filled were not looked at"
    assert told(guess_rows(rows, id="only-199-9"))["id"] == "only-199-9"


@pytest.mark.parametrize("options", [{"text": "title", "labels": "title"}, {"date": "skills", "id": "skills"}])
def test_two_options_cannot_name_one_column(options: dict[str, str]) -> None:
    name = next(iter(options.values()))
    with pytest.raises(DraftError) as error:
        guess_rows(ads(3), **options)
    assert (
        str(error.value)
        == f"two of --text, --labels, --date and --id name the column `{name}`: each takes one of its own."
    )


def test_a_column_that_an_option_names_is_no_guess_for_something_else() -> None:
    rows = [{"id": n, "posted": f"2026-0{1 + n % 6}-03", **row} for n, row in enumerate(ads(90))]
    assert told(guess_rows([{**row, "id": f"ad-{n}"} for n, row in enumerate(rows)], labels="id"))["id"] is None
    assert told(guess_rows(rows, id="posted"))["date"] is None
    assert (
        told(guess_rows([{**row, "title": "Welder"} for row in rows], text="title", labels="text"))["labels"] == "text"
    )


def test_files_dated_by_their_names_are_not_dated_by_a_column_too(tmp_path: Path) -> None:
    for month in (1, 2, 3):
        rows = [{"posted": f"2026-0{month}-0{1 + n % 9}", **row} for n, row in enumerate(ads(90))]
        write_table(tmp_path / f"2026-0{month}.csv", rows)
    guess = guess_file(tmp_path)
    assert (guess.dates, guess.period, guess.keys) == (None, "month", ("2026-01", "2026-02", "2026-03"))
    assert guess.doubts == ()


def test_hundreds_of_columns_and_huge_cells_take_no_time(tmp_path: Path) -> None:
    rows = [
        {f"c{m}": "Python, SQL; Java | Go / C " * (20 + m) for m in range(60)} | {"text": "We weld. " * 3000}
        for _ in range(60)
    ]
    path = write_table(tmp_path / "ads.jsonl", rows)
    started = time.process_time()
    assert told(guess_file(path))["text"] == "text"
    assert time.process_time() - started < 60  # a guard against hanging: a few seconds in practice


_CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["2026-03-09", "3/9/2026", 1_772_000_000, "['SQL']", '["Go", "C"]', "a, b; c|d", "", " ", "[", "SQL"]
    )
    | st.sampled_from([row["text"] for row in ads(9)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(["id", "text", "skills", "posted", "closing", "label_kind", "Fähigkeiten", "x"]) | st.text(
    max_size=8
)
_ROWS = st.dictionaries(_NAMES, _CELLS, max_size=6)
_AD = st.sampled_from([row["text"] for row in ads(9)])
_TABLES = st.lists(_ROWS, max_size=20) | st.lists(
    st.builds(lambda row, ad: {**row, "text": ad}, _ROWS, _AD), max_size=20
)
_PLACE = Place(Path("/data"), "ads.jsonl", (DataFile(Path("/data/ads.jsonl")),))


def _sample(rows: Rows) -> Sample:
    return Sample([RawRow("ads.jsonl", number, row) for number, row in enumerate(rows, 1)], files=1)


@settings(max_examples=120, deadline=10_000)
@given(_TABLES)
def test_any_table_gives_a_guess_or_one_clear_error(rows: Rows) -> None:
    sample = _sample(rows)
    try:
        guess = make_guess(_PLACE, sample, Options(), NOW)
    except DraftError as error:
        assert str(error).startswith("no column looks like the text of an ad")
        return
    taken = [name for name in told(guess).values() if name is not None]
    assert len(taken) == len(set(taken)) and set(taken) <= set(sample.columns)
    assert (guess.period is None) == (guess.keys == ())
    assert all(doubt and not doubt.endswith(".") for doubt in guess.doubts)
    assert guess == make_guess(_PLACE, sample, Options(), NOW)


@settings(max_examples=120, deadline=10_000)
@given(_TABLES, st.data())
def test_options_always_win(rows: Rows, data: st.DataObject) -> None:
    sample = _sample(rows)
    names = data.draw(st.permutations(sample.columns))
    asked = dict(zip(data.draw(st.permutations(["text", "labels", "date", "id"])), names, strict=False))
    asked = (
        {option: asked[option] for option in data.draw(st.sets(st.sampled_from(sorted(asked)))) if option in asked}
        if asked
        else {}
    )
    try:
        guess = make_guess(_PLACE, sample, Options(**asked), NOW)
    except DraftError as error:
        known = [f"--{option} {name}: no " for option, name in asked.items()]
        known += [f"--id {asked['id']}: "] if "id" in asked else []
        assert str(error).startswith((*known, "no column looks like the text of an ad"))
        return
    assert {option: told(guess)[option] for option in asked} == asked


@settings(max_examples=60, deadline=10_000)
@given(_TABLES, st.text(max_size=10))
def test_an_option_that_names_no_column_is_an_error_that_lists_them(rows: Rows, name: str) -> None:
    sample = _sample(rows)
    if name in sample.columns:
        return
    with pytest.raises(DraftError) as error:
        make_guess(_PLACE, sample, Options(text=name), NOW)
    assert str(error.value).startswith(f"--text {name}: there is no such column.")
    assert all(f"`{column}`" in str(error.value) for column in sample.columns[:30])


@settings(max_examples=50, deadline=20_000)
@given(st.lists(st.dictionaries(_NAMES, _CELLS, min_size=1, max_size=5), min_size=1, max_size=10))
def test_any_table_in_a_file_is_read_and_guessed(tmp_path_factory: pytest.TempPathFactory, rows: Rows) -> None:
    path = tmp_path_factory.mktemp("any") / "ads.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    place = find_place(str(path), path.parent)
    try:
        guess: Any = guess_file(path)
    except DraftError as error:
        assert str(error)
        return
    assert guess.text.value in {column.name for column in columns(rows)} and place.size > 0
