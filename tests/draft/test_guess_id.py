"""The column that tells rows apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.draft.choice import Choice
from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess_id import guess_id
from tests.draft.support import Rows, columns, read_jsonl

_UNIQUE = "short, and different in every row"


def id_in(rows: Rows, option: str | None = None) -> Choice | None:
    return guess_id(columns(rows), option)


def of(column: str, values: list[Any], option: str | None = None) -> Choice | None:
    return id_in([{column: value} for value in values], option)


@pytest.mark.parametrize(
    "column", ["id", "ID", "job_id", "JobID", "Kennung", "Stellennummer", "référence", "uuid", "Nr."]
)
@pytest.mark.parametrize(
    "values",
    [
        [f"ad-{number:04}" for number in range(20)],
        [*range(20)],
        [*range(20, 0, -1)],
        [f"{number}" for number in range(20)],
        [float(number) for number in range(20)],
        [f"three words {number}" for number in range(20)],
        ["seven", 7],
    ],
)
def test_called_like_an_id_and_different_everywhere(column: str, values: list[Any]) -> None:
    assert of(column, values) == Choice(column, _UNIQUE)


@pytest.mark.parametrize(
    "values", [[f"ad-{n}" for n in range(9)], [*range(9)], [f"{n}" for n in range(9, 20)], [3, 17, 18, 90, 91]]
)
def test_without_a_telling_name(values: list[Any]) -> None:
    assert of("x", values) == Choice("x", _UNIQUE)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("x", ["Leeds", "York", "Hull", "Bath", "Ely"]),
        ("salary", [31000, 28000, 45000, 39000, 52000]),
        ("salary", ["31000", "28000", "45000", "39000", "52000"]),
        ("x", ["ad 1", "ad 2", "ad 3", "ad 4", "ad 5"]),
        ("x", [1.5, 2.5, 3.5, 4.5, 5.5]),
        ("closing", [f"2026-03-0{n}" for n in range(1, 9)]),
        ("x", [f"2026-03-0{n}T10:00:00Z" for n in range(1, 9)]),
        ("created", [1_772_000_000 + n for n in range(9)]),
        ("x", [1, 2]),
        ("x", [True, False]),
        ("id", [f"{n} " + "x" * 80 for n in range(9)]),
        ("id", [["a"], ["b"], ["c"]]),
        ("id", [{"a": 1}, {"a": 2}]),
        ("id", [None, None, None]),
        ("id", ["a", "a", "b", "b"]),
        ("id", []),
    ],
)
def test_what_is_no_id(column: str, values: list[Any]) -> None:
    assert of(column, values) is None


def test_a_few_equal_or_missing_ids_do_no_harm() -> None:
    ids: list[Any] = [f"ad-{n}" for n in range(48)]
    assert of("job_id", [*ids, "ad-0", None]) == Choice(
        "job_id",
        "by its name; 48 different of 49, 1 missing: to equal ones the place in the file is added, and stands for missing ones",
    )
    assert of("x", [*ids, "ad-0", None]) is None


def test_the_ads_own_id_wins_over_those_of_other_things() -> None:
    rows = [{"company_id": f"c{n}", "external_job_id": f"x{n}", "job_id": f"j{n}", "id": f"i{n}"} for n in range(9)]
    assert id_in(rows) == Choice("id", _UNIQUE)
    assert id_in([{name: row[name] for name in list(row)[:3]} for row in rows]) == Choice("job_id", _UNIQUE)
    assert id_in([{name: row[name] for name in list(row)[:2]} for row in rows]) == Choice("external_job_id", _UNIQUE)


def test_one_row_has_an_id_by_its_name_alone() -> None:
    found = of("id", ["a"])
    assert found is not None and found.value == "id"
    assert of("x", ["ad-1"]) is None


def test_an_option_wins() -> None:
    rows = [{"id": n, "group": "a" if n % 2 else None} for n in range(8)]
    assert id_in(rows, "group") == Choice("group", "as --id says; 1 different of 4, 4 missing")


@pytest.mark.parametrize(
    ("values", "holds"),
    [([["a"], ["b"]], "a list"), ([1, True], "a number, true or false"), ([{"a": 1}, None], "an object, null")],
)
def test_an_option_that_no_row_can_be_called_by_is_refused(values: list[Any], holds: str) -> None:
    with pytest.raises(DraftError) as error:
        of("x", values, "x")
    wrong = sum(not isinstance(value, int) or isinstance(value, bool) for value in values if value is not None)
    assert str(error.value) == (
        f"--id x: {wrong} of 2 rows would be rejected: an id is a string or a number, and the column holds {holds}. Name "
        "another one, or leave --id out: file and line serve then."
    )


def test_an_option_that_is_not_there_is_refused() -> None:
    with pytest.raises(DraftError, match="--id nr: there is no such column. The columns are `x`."):
        of("x", [1], "nr")


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["document", "paragraph"])
def test_real_ids(shared_data: Path, kind: str) -> None:
    rows = read_jsonl(shared_data / "skillspan" / kind / "test.jsonl")
    for row in rows:
        row["id"] = row.pop("id")  # last: `doc_id` of the paragraphs stands before it
    assert id_in(rows) == Choice("id", _UNIQUE)
    assert id_in([{"source": row["source"], "x": row["id"]} for row in rows]) == Choice("x", _UNIQUE)
