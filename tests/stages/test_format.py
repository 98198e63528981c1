"""format: rows, rejected rows, verbatim skills, and the errors a user meets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.modeling.answers import parse_answer
from skillsengine.stages import format as stage
from skillsengine.stages.contract import Limit, SourceFile, StageError
from tests.stages.format_run import Formatted, ad
from tests.stages.golden_files import FOLDER, check_golden
from tests.stages.support import source_file, write_lines


def test_golden(tmp_path: Path) -> None:
    done = Formatted(tmp_path, source_file(FOLDER / "format" / "ads.jsonl"))
    outputs = {name: (done.out / name).read_text() for name in ("rows.jsonl", "rejected.jsonl")}
    outputs["summary.json"] = json.dumps(done.summary, indent=1) + "\n"
    check_golden("format", stage.VERSION, outputs)


def test_a_row_is_cleaned_and_its_skills_are_ordered(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [ad("<b>SQL</b> &amp; Go,\n\n\n daily", ("Go", "SQL"), id="one")])
    [row] = Formatted(tmp_path, file).rows
    assert row.text == "SQL & Go,\n\ndaily"
    assert row.skills == ("SQL", "Go")
    assert row.answer == ' ["SQL", "Go"]'
    assert row.id == "one"


def test_columns_are_the_specs(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"body": "Go {text}", "tags": ["Go"], "nr": 5}])
    data = {"source": "x", "text": "body", "labels": "tags", "id": "nr", "cleaning": []}
    [row] = Formatted(tmp_path, file, data=data).rows
    assert (row.id, row.text, row.answer) == ("5", "Go {text}", ' ["Go"]')
    assert row.prompt("Ad: {text} Skills:") == "Ad: Go {text} Skills:"


def test_the_smallest_summary(tmp_path: Path) -> None:
    lines = [ad("SQL, Go", ("SQL", "Rust")), ad("Free lunch"), {"job_description": "Cook"}, "oops"]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines))
    assert done.summary == {
        "rows": 3,
        "rejected": 1,
        "with_labels": 2,
        "unlabelled": 1,
        "empty_labels": 1,
        "skills": 1,
        "labels_not_in_text": 1,
        "spans": 0,
        "spans_not_placed": 0,
        "duplicate_ids": 0,
        "copied_rows": 0,
        "splits": [],
        "reasons": {"not JSON": 1},
        "notes": [],
    }
    assert done.rows[2].skills is None and done.rows[2].answer is None
    assert done.around.reports[-1].text == "3 rows, 1 rejected"
    assert done.around.reports[-1].fraction == 1.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"job_description": "Go", "skills": [}', "not JSON: unreadable at character 38"),
        (b'{"job_description": "\xff\xfe"}', "not UTF-8: byte 0xff at position 22"),
        ("[" * 100_000, "not JSON: nested too deep"),
        ("3", "not a JSON object: it is a number"),
        ({"skills": []}, "the text is missing: no column `job_description`"),
        (ad(None), "the text is missing: `job_description` is null"),  # type: ignore[arg-type]
        (ad(["Go"]), "the text is not a string: `job_description` is a list"),  # type: ignore[arg-type]
        (ad(""), "the text is empty: no letter or digit is left after cleaning"),
        (ad("<br> --- "), "the text is empty: no letter or digit is left after cleaning"),
        (
            ad("Go", "Go"),
            "the labels are not a list: `skills` is a string, which data.label_format: comma, semicolon or json reads",
        ),
        (ad("Go", {"a": "Go"}), "the labels are not a list: `skills` is an object"),
        (ad("Go", ["Go", None]), "a label is not a string: item 2 of `skills` is null"),
        (ad("Go", [["Go"]]), "a label is not a string: item 1 of `skills` is a list"),
        (ad("Go", [], id=True), "the id is neither a string nor a number: it is true or false"),
        (ad("Go", ["Rust", "SQL"]), "none of the labels stands in the text: 'Rust', 'SQL'"),
    ],
)
def test_a_bad_row_is_rejected_alone(tmp_path: Path, line: Any, reason: str) -> None:
    done = Formatted(
        tmp_path, write_lines(tmp_path / "a.jsonl", [ad("Go one", ("Go",)), "", line, ad("Go two", ("Go",))])
    )
    assert [row.id for row in done.rows] == ["a.jsonl:1", "a.jsonl:4"]
    [entry] = done.rejected
    assert (entry["file"], entry["place"], entry["reason"]) == ("a.jsonl", 3, reason)
    assert len(entry["text"]) <= 200
    assert done.summary["reasons"] == {reason.split(":")[0]: 1}


def test_types_may_differ_from_row_to_row_and_texts_that_look_like_dates_stay(tmp_path: Path) -> None:
    lines = [
        {"job_description": "2026-01-02 00:00:00", "skills": [], "pay": 1, "id": 1},
        {"job_description": "Go", "skills": ["Go"], "pay": {"min": "a"}, "id": "two"},
        {"job_description": "12", "pay": [1, "b"]},
    ]
    rows = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines)).rows
    assert [(row.text, row.id) for row in rows] == [("2026-01-02 00:00:00", "1"), ("Go", "two"), ("12", "a.jsonl:3")]


def test_odd_bytes_are_read(tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbf" + json.dumps(ad("Go first", ("Go",))).encode(),
        json.dumps(ad("half a pair \ud83d, Go", ("Go",))).encode() + b"\r",
        json.dumps(ad("one line\u2028still one\x85Go", ("Go",)), ensure_ascii=False).encode(),
    ]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines))
    assert [row.text for row in done.rows] == ["Go first", "half a pair \ufffd, Go", "one line\nstill one\nGo"]


def test_files_name_the_splits(tmp_path: Path) -> None:
    train = write_lines(tmp_path / "train.jsonl", [ad(f"Go {i}") for i in range(8)])
    test = write_lines(tmp_path / "test.jsonl", [ad(f"SQL {i}") for i in range(8)])
    files = (SourceFile(test.path, test.sha256, "test"), SourceFile(train.path, train.sha256, "train"))
    done = Formatted(tmp_path, *files, limit=Limit(rows=5))
    # Both splits get their share of the smoke test's rows, though one file alone would fill it.
    assert [row.split for row in done.rows] == ["test"] * 2 + ["train"] * 3


def test_the_limit_counts_usable_rows(tmp_path: Path) -> None:
    lines = ["oops", ad("Go 1"), ad(""), ad("Go 2"), ad("Go 3"), "oops"]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), limit=Limit(rows=2))
    assert [row.text for row in done.rows] == ["Go 1", "Go 2"]
    assert done.summary["rejected"] == 2


@pytest.mark.parametrize("limit", [None, Limit(rows=1)])
def test_a_file_that_changed_since_the_plan_is_refused(tmp_path: Path, limit: Limit | None) -> None:
    file = write_lines(tmp_path / "a.jsonl", [ad("Go 1"), ad("Go 2")])
    with file.path.open("a") as more:
        more.write(json.dumps(ad("Go 3")) + "\n")
    with pytest.raises(StageError, match=r"a\.jsonl: the file has changed since the plan was made .* Run again"):
        Formatted(tmp_path, file, limit=limit)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [ad("Go")])
    file.path.unlink()
    with pytest.raises(
        StageError, match=r"a\.jsonl: not there any more; it was when the plan was made\. Put it back, or run again"
    ):
        Formatted(tmp_path, file)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", ["", "  "])
    with pytest.raises(StageError, match=r"a\.jsonl: no rows\. A source has one row an ad"):
        Formatted(tmp_path, file)


def test_a_text_column_that_no_row_has_is_an_error_with_the_columns(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"body": "Go", "skills": []}, {"body": "SQL", "title": "x"}])
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path, file)
    assert str(caught.value) == (
        f"{file.path}: no row has a column `job_description`. The columns are `body`, `skills`, `title`. "
        "Set data.text to the one that holds the ad (and data.labels and data.id to the skills and the id)."
    )


def test_no_usable_row_is_an_error_with_the_first_reasons(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [ad("Go", "Go"), ad(""), ad("SQL", "SQL"), ad("Rust", "Rust")])
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path, file)
    is_text = "the labels are not a list: `skills` is a string, which data.label_format: comma, semicolon or json reads"
    assert str(caught.value) == (
        f"{file.path}: none of 4 rows is usable. By reason: the labels are not a list: 3, the text is empty: 1. The first:\n"
        f"  a.jsonl:1: {is_text}\n"
        "  a.jsonl:2: the text is empty: no letter or digit is left after cleaning\n"
        f"  a.jsonl:3: {is_text}\n"
        "Set data.label_format to what the labels are: list, comma, semicolon or json."
    )


@pytest.mark.parametrize("content", [b"id,text\n1,Go\n", json.dumps([ad("Go")], indent=1).encode()])
def test_another_format_is_an_error_that_says_what_is_expected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(
        StageError, match=r"each line is one whole object\. .* a list .* ends in \.json, cells .* ends in \.csv\."
    ):
        Formatted(tmp_path, source_file(path))


def test_too_many_rejected_rows_fail_the_stage_with_counts_places_and_mend(tmp_path: Path) -> None:
    lines = [ad(f"Go {i}") for i in range(16)] + ["oops", ad(""), "oops", ad("SQL", ("Rust",))]
    file = write_lines(tmp_path / "a.jsonl", lines)
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path, file, data={"max_rejected": 0.19})
    assert str(caught.value) == (
        f"{file.path}: 4 of 20 rows are rejected (20.0%), and data.max_rejected allows 19.0%. By reason: not JSON: 2, "
        "the text is empty: 1, none of the labels stands in the text: 1. The first:\n"
        "  a.jsonl:17: not JSON: unreadable at character 1\n"
        "  a.jsonl:18: the text is empty: no letter or digit is left after cleaning\n"
        "  a.jsonl:19: not JSON: unreadable at character 1\n"
        "In a file whose name ends in .jsonl each line is one whole object. Objects over many lines become that by: "
        "jq -c . < a.jsonl > lines-a.jsonl; a list belongs into a file whose name ends in .json, cells with commas between "
        "them into one that ends in .csv. If the file is cut off, copy or write it again. "
        "If the rest is worth having, raise data.max_rejected."
    )


@pytest.mark.parametrize(("bad", "of", "share"), [(0, 3, 0.0), (1, 10, 0.1), (29, 100, 0.29), (7, 10, 0.7)])
def test_a_share_that_is_just_allowed_passes(tmp_path: Path, bad: int, of: int, share: float) -> None:
    lines = ["oops"] * bad + [ad(f"Go {i}") for i in range(of - bad)]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), data={"max_rejected": share})
    assert (done.summary["rejected"], done.summary["rows"]) == (bad, of - bad)


def test_ids_stay_unique(tmp_path: Path) -> None:
    lines = [ad("Go", id="x"), ad("SQL", id="x"), ad("go!", id="x"), ad("Rust", id="x@a.jsonl:5"), ad("Java", id="x")]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines))
    assert [row.id for row in done.rows] == ["x", "x@a.jsonl:2", "x", "x@a.jsonl:5", "x@a.jsonl:5~2"]
    assert (done.summary["duplicate_ids"], done.summary["copied_rows"]) == (2, 1)


def test_files_of_one_name_in_two_folders_keep_their_rows_apart(tmp_path: Path) -> None:
    files = []
    for folder, text in (("a", "Go"), ("b", "SQL"), ("c", "Rust")):
        (tmp_path / folder).mkdir()
        files.append(write_lines(tmp_path / folder / "ads.jsonl", [ad(text)]))
    rows = Formatted(tmp_path, *files).rows
    assert [row.id for row in rows] == ["ads.jsonl:1", "ads.jsonl:1@ads.jsonl:1", "ads.jsonl:1@ads.jsonl:1~2"]


def test_unlabelled_partitions_are_fine(tmp_path: Path) -> None:
    lines = [{"job_description": "Go"}, ad("SQL", None)]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines))
    assert [row.skills for row in done.rows] == [None, None]
    assert (done.summary["unlabelled"], done.summary["with_labels"], done.summary["empty_labels"]) == (2, 0, 0)


def test_the_same_file_gives_the_same_bytes_wherever_it_stands(tmp_path: Path) -> None:
    outputs = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        file = write_lines(tmp_path / place / "a.jsonl", [ad(f"Go {i}", ("Go",)) for i in range(1200)] + ["oops"])
        done = Formatted(tmp_path / place, file)
        outputs.append([(done.out / name).read_bytes() for name in ("rows.jsonl", "rejected.jsonl")])
    assert outputs[0] == outputs[1]


@pytest.mark.shared
def test_real_ads_are_formatted_whole(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "skillspan" / "paragraph" / "test.jsonl"
    done = Formatted(tmp_path, source_file(path))
    assert done.summary["rejected"] == done.summary["labels_not_in_text"] == 0
    assert done.summary["rows"] == 394
    for row in done.rows:
        assert parse_answer(row.answer or "") == (list(row.skills or ()), True)


def test_spans_follow_their_text_through_cleaning(tmp_path: Path) -> None:
    text = "<p>We use SQL &amp; Go.</p>\n\n\n<p>Go   daily</p>"
    first = [[text.index("SQL"), text.index("SQL") + 3, "SQL"], [text.rindex("Go"), text.rindex("Go") + 10]]
    lines = [
        ad(text, ("SQL",), hard=first, soft=[[900, 903]]),
        ad("Go", ("Go",), hard=[], soft=None),
        ad("Go", ("Go",), id="none"),
    ]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), data={"spans": ["hard", "soft"]})
    found = done.rows[0]
    assert [found.text[start:end] for start, end in found.spans or ()] == ["SQL", "Go daily"]
    assert [row.spans for row in done.rows[1:]] == [(), None], "no span in the ad, and nobody has looked"
    assert (done.summary["spans"], done.summary["spans_not_placed"]) == (2, 1)


def test_fields_are_kept_where_a_row_has_them(tmp_path: Path) -> None:
    lines = [
        ad("Go", country=" DE\n", size=12, remote=False, tags=["a", "ü"]),
        ad("SQL", country=None, size=float("nan"), tags=" "),
        ad("SAP", country="x" * 500),
    ]
    data = {"fields": ["country", "size", "remote", "tags"]}
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), data=data)
    assert [row.fields for row in done.rows] == [
        {"country": "DE", "size": "12", "remote": "false", "tags": '["a", "ü"]'},
        {},
        {"country": "x" * 100},
    ]


def test_what_a_row_lacks_takes_no_room(tmp_path: Path) -> None:
    lines = [ad("Go", country="DE", spans=[[0, 2]]), ad("Go")]
    data = {"fields": ["country"], "spans": ["spans"]}
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), data=data)
    first, second = map(json.loads, (done.out / "rows.jsonl").read_text().splitlines())
    assert (first["fields"], first["spans"]) == ({"country": "DE"}, [[0, 2]])
    assert sorted(second) == ["id", "key", "skills", "split", "text"]


def test_malformed_spans_are_rejected(tmp_path: Path) -> None:
    lines = [ad("Go", spans=7), ad("Go", spans=[[0, 2], "Go"])]
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines), data={"spans": ["spans"]})
    assert str(caught.value).partition("usable. ")[2] == (
        "By reason: the spans are not a list: 1, a span is not [start, end]: 1. The first:\n"
        "  a.jsonl:1: the spans are not a list: `spans` is a number\n"
        "  a.jsonl:2: a span is not [start, end]: item 2 of `spans` is a string\n"
        "A column of data.spans holds a list of [start, end] or [start, end, text], counted in characters of the ad. Mend "
        "these rows, or take the column out of data.spans."
    )
