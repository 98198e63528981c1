"""The column with the skills, and how a row holds them: found by what stands in the ads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess_labels import Labels, guess_labels
from tests.draft.support import Rows, ads, columns, read_jsonl, renamed, with_column

_UNREAD = "which no label_format reads: write them with `;` between, or as a JSON list"


def labels_in(rows: Rows, option: str | None = None, text: str = "text") -> Labels:
    found = columns(rows)
    return guess_labels(found, next(column for column in found if column.name == text), option)


def told(labels: Labels) -> tuple[str | None, str, str]:
    """(column, format, doubt)"""
    column = labels.column
    return column.value if column else None, labels.label_format.value, column.doubt if column else ""


def written(rows: Rows, column: str, write: Callable[[list[str]], Any]) -> Rows:
    """The rows with their skills under another name, as `write` makes them."""
    return [{"text": row["text"], column: write(row["skills"])} for row in rows]


_WAYS: list[tuple[Callable[[list[str]], Any], str, str]] = [
    (list, "list", "each row holds a list"),
    (json.dumps, "json", "a list written as text, as JSON or as Python prints it"),
    (repr, "json", "a list written as text, as JSON or as Python prints it"),
    (", ".join, "comma", "separated by commas"),
    (",".join, "comma", "separated by commas"),
    ("; ".join, "semicolon", "separated by semicolons"),
]


@pytest.mark.parametrize(("write", "label_format", "why"), _WAYS)
@pytest.mark.parametrize("column", ["skills", "Fähigkeiten", "compétences", "tags", "x", "a: b #c"])
def test_labels_are_found_by_any_name_in_every_way(
    column: str, write: Callable[[list[str]], Any], label_format: str, why: str
) -> None:
    labels = labels_in(written(ads(30), column, write))
    assert told(labels) == (column, label_format, "")
    assert labels.label_format.why == why
    assert labels.readable and labels.share == 1.0
    assert labels.column is not None
    assert labels.column.why == "3.0 skills a row, 100% of them in the row's text; every row has some"


@pytest.mark.parametrize(
    ("mark", "shown"),
    [("|", "`|`"), (" | ", "`|`"), ("\n", "line breaks"), ("\t", "tabs"), (" / ", "`/`"), (" • ", "`•`")],
)
@pytest.mark.parametrize("column", ["skills", "x"])
def test_what_no_format_reads_is_said(column: str, mark: str, shown: str) -> None:
    labels = labels_in(written(ads(30), column, mark.join))
    assert told(labels) == (column, "semicolon", f"a row's skills seem to be separated by {shown}, {_UNREAD}")
    assert not labels.readable
    assert labels.label_format.why == "not readable yet: write them with `;` between, or as a JSON list"


def test_slashes_inside_of_skills_are_no_separators() -> None:
    rows = [{"text": f"{row['text']} We use CI/CD and TCP/IP.", "skills": row["skills"]} for row in ads(20)]
    assert told(labels_in(written(rows, "x", lambda skills: ", ".join([*skills, "CI/CD", "TCP/IP"]))))[:2] == (
        "x",
        "comma",
    )


@pytest.mark.parametrize(
    ("write", "label_format"), [("; ".join, "semicolon"), (json.dumps, "json"), (repr, "json"), (list, "list")]
)
def test_skills_may_hold_commas(write: Callable[[list[str]], Any], label_format: str) -> None:
    skills = ["cutting, drilling and turning", "SQL, mainly PostgreSQL", "Python"]
    rows = [
        {"text": f"Ad {n}: {' and '.join(skills)}, in a team of {n}.", "skills": skills[n % 2 :]} for n in range(12)
    ]
    assert told(labels_in(written(rows, "x", write))) == ("x", label_format, "")


def test_one_skill_a_row_is_read_so_that_later_ones_may_hold_commas() -> None:
    labels = labels_in(written(ads(10), "skills", lambda skills: skills[0]))
    assert told(labels) == ("skills", "semicolon", "")
    assert labels.label_format.why == "no row holds two; semicolons would stand between them"


def test_lists_and_texts_mixed_are_both_read() -> None:
    rows = ads(30)
    mixed = with_column(
        rows, "skills", [row["skills"] if n % 3 else ", ".join(row["skills"]) for n, row in enumerate(rows)]
    )
    assert told(labels_in(mixed)) == ("skills", "comma", "")
    mixed = with_column(
        rows, "skills", [row["skills"] if n % 3 else json.dumps(row["skills"]) for n, row in enumerate(rows)]
    )
    assert told(labels_in(mixed)) == ("skills", "json", "")


def test_rows_that_cannot_be_read_are_told_with_the_first_reason() -> None:
    rows = with_column(ads(30), "skills", [7 if n in (3, 5) else row["skills"] for n, row in enumerate(ads(30))])
    assert told(labels_in(rows)) == (
        "skills",
        "list",
        "the labels of 2 rows in `skills` cannot be read, and such rows are rejected: the labels are not a list: `skills` is a "
        "number",
    )


def test_rows_without_labels_are_counted() -> None:
    rows = with_column(ads(30), "skills", [None if n < 10 else row["skills"] for n, row in enumerate(ads(30))])
    labels = labels_in(rows)
    assert labels.column is not None and labels.column.why.endswith("; 20 of 30 rows have some")
    assert labels.column.doubt == ""


def test_labels_that_do_not_stand_in_the_text_are_told() -> None:
    rows = written(ads(20), "skills", lambda skills: [*skills[:1], "Structured Query Language"])
    assert told(labels_in(rows)) == (
        "skills",
        "list",
        "20 of 40 labels in `skills` do not stand in their texts letter by letter; they are left out of the answers, and "
        "counted, and a row that is left without any is rejected",
    )


def test_labels_are_cleaned_as_the_text_is() -> None:
    rows = [
        {
            "text": f"<p>Ad {n}: R&amp;D, C&#x2B;&#x2B; and caf\u00e9 service</p>",
            "x": ["R&D", "C++", "cafe\u0301 service"],
        }
        for n in range(9)
    ]
    assert labels_in(rows).share == 1.0


@pytest.mark.parametrize(
    "more",
    [
        {"location": "plant, people"},
        {"Ort": ["plant", "people"]},
        {"label_kind": "dictionary"},
        {"skill_level": "fair, quiet"},
        {"constant": "plant, people, holidays"},
        {"number": 3},
        {"flags": [1, 2]},
        {"empty": None},
        {"requirements": "You bring, above all, patience, a driving licence, and the will to learn, every day."},
        {"skills_desc": "You should have worked with people before, and know how to plan the days of a small team."},
        {"summary": "our plant, of holidays, a fair wage"},
    ],
)
def test_other_columns_are_no_labels(more: dict[str, Any]) -> None:
    with_more = [{**more, **row} for row in ads(20)]  # before the labels: the order decides nothing
    assert told(labels_in(with_more)) == ("skills", "list", "")
    without = [{"text": row["text"], **more} for row in ads(20)]
    labels = labels_in(without)
    assert (labels.column, labels.refused) == (None, "")


def test_requirements_that_are_skills_are_labels() -> None:
    assert told(labels_in(written(ads(20), "requirements", ", ".join))) == ("requirements", "comma", "")


def test_a_telling_name_wins_over_other_words_of_the_text_and_the_doubt_names_the_other() -> None:
    rows = [{**row, "words": row["text"].split()[:8]} for row in ads(20)]
    assert told(labels_in(rows))[0] == "skills"
    rows = [{**row, "other_skills": row["skills"][:2]} for row in ads(20)]
    assert told(labels_in(rows)) == (
        "skills",
        "list",
        "`other_skills` could hold skills too: `--labels other_skills` takes that",
    )


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "['TIG welding' 'SQL']",
            "the labels are an array as numpy prints it: `skills` has no commas between its items",
        ),
        ([{"name": "SQL"}], "a label is not a string: item 1 of `skills` is an object"),
        ({"name": "SQL"}, "it holds an object"),
        (7, "it holds a number"),
        ("[SQL, Go]", "`skills` is neither a JSON list nor a list of strings as Python prints it"),
    ],
)
def test_labels_in_a_shape_that_is_not_read(value: Any, why: str) -> None:
    rows = with_column(ads(9), "skills", [value] * 9)
    labels = labels_in(rows)
    assert labels.column is None
    shapes = "a row holds its skills as a list of strings, as a list written as JSON, or with `;` or `,` between them"
    assert labels.refused.startswith("`skills` is called like labels, but no row of it can be read: ")
    assert why in labels.refused and labels.refused.endswith(f"; {shapes}")
    with pytest.raises(DraftError) as error:
        labels_in(rows, "skills")
    assert str(error.value).startswith("--labels skills: no row of it can be read as a list of skills (")
    assert why in str(error.value) and str(error.value).endswith(f"): {shapes}. Write them so.")


def test_an_option_wins_over_better_columns() -> None:
    rows = [{**row, "location": "Leeds, UK", "none_yet": None, "never": []} for row in ads(20)]
    column, label_format, doubt = told(labels_in(rows, "location"))
    assert (column, label_format) == ("location", "comma")
    assert doubt.startswith("40 of 40 labels in `location` do not stand in their texts letter by letter")
    labels = labels_in(rows, "none_yet")
    assert told(labels) == ("none_yet", "list", "")
    assert labels.column is not None and labels.column.why == "as --labels says; no row has any yet"
    assert told(labels_in(rows, "never")) == ("never", "list", "")
    with pytest.raises(DraftError, match="--labels skils: there is no such column. Did you mean `skills`?"):
        labels_in(rows, "skils")


def test_one_row_and_labels_of_one_row() -> None:
    assert told(labels_in(ads(1)))[:2] == ("skills", "list")
    assert told(labels_in(written(ads(1), "x", ", ".join)))[:2] == ("x", "comma")


def test_the_room_for_a_long_answer_is_that_of_the_99th_percentile() -> None:
    rows = [*ads(990), *({"text": "x", "skills": ["y" * 5000]} for _ in range(10))]
    assert labels_in(rows).longest < 100
    assert labels_in(with_column(ads(9), "skills", [["abc", "de"]] * 9)).longest == len('["abc", "de"]') + 2


def test_a_megabyte_of_labels_takes_no_time() -> None:
    text = "Python and SQL " * 200_000
    rows = [
        {"text": text, "skills": [f"skill {n}" for n in range(50_000)], "more": "a,|/;b" * 100_000} for _ in range(3)
    ]
    assert told(labels_in(rows))[0] == "skills"


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["document", "paragraph"])
@pytest.mark.parametrize("column", ["Fähigkeiten", "gesucht"])
@pytest.mark.parametrize(("write", "label_format"), [(way, name) for way, name, _ in _WAYS if name != "comma"])
def test_real_labels_in_every_way(
    shared_data: Path, kind: str, column: str, write: Callable[[list[str]], Any], label_format: str
) -> None:
    rows = read_jsonl(shared_data / "skillspan" / kind / "test.jsonl")
    table = renamed(rows, {"id": "Kennung", "job_description": "text", "skills": "skills", "source": "Quelle"})
    labels = labels_in(written(table, column, lambda skills: write(skills) if skills else None))
    assert (told(labels)[:2], labels.share) == ((column, label_format), 1.0)


@pytest.mark.shared
def test_real_labels_that_hold_commas_are_told_when_commas_separate_them(shared_data: Path) -> None:
    rows = read_jsonl(shared_data / "skillspan" / "document" / "test.jsonl")
    table = renamed(rows, {"job_description": "text", "skills": "skills"})
    labels = labels_in(written(table, "compétences", ", ".join))
    assert told(labels)[:2] == ("compétences", "comma")
    assert 0.9 < labels.share <= 1.0


@pytest.mark.shared
def test_of_real_layers_of_labels_the_whole_is_taken_and_the_parts_told(shared_data: Path) -> None:
    rows = read_jsonl(shared_data / "skillspan" / "document" / "test.jsonl")
    for row in rows:
        row["skills"] = row.pop("skills")  # last of all: the order of the columns decides nothing
    column, _, doubt = told(labels_in(rows, text="job_description"))
    assert column == "skills"
    assert doubt == (
        "`skills_soft_or_task`, `skills_knowledge` could hold skills too: `--labels skills_soft_or_task` takes that"
    )


@pytest.mark.shared
def test_real_ads_with_a_column_about_their_labels(shared_data: Path) -> None:
    rows = read_jsonl(shared_data / "history" / "hn" / "2016-03.jsonl")
    assert told(labels_in(rows, text="job_description")) == ("skills", "list", "")
    without = [{name: value for name, value in row.items() if name != "skills"} for row in rows]
    assert labels_in(without, text="job_description").column is None
