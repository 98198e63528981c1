"""format: rows, rejected rows, verbatim skills, and the errors a user meets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.modeling.answers import parse_answer, render_answer
from skillsengine.pipeline.graph import FORMAT
from skillsengine.spec.schema import Data
from skillsengine.stages import format as stage
from skillsengine.stages.contract import Limit, SourceFile, StageError, Summary
from skillsengine.stages.rows import Row, read_rows
from tests.stages.golden_files import FOLDER, check_golden
from tests.stages.support import Surroundings, as_artifact, config_for, experiment, source_file, write_lines

STEPS = Data(source="x").cleaning


class Formatted:
    """What one run of the stage left behind."""

    def __init__(self, folder: Path, *files: SourceFile, limit: Limit | None = None, **sections: Any) -> None:
        self.out = folder / "out"
        self.out.mkdir()
        self.around = Surroundings(folder)
        config = config_for(FORMAT, experiment(**sections), files=files, limit=limit, key="all")
        self.summary: Summary = stage.run(config, {}, self.out, self.around.context)

    @property
    def rows(self) -> list[Row]:
        return list(read_rows(as_artifact(self.out, "format", self.summary)))

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "rejected.jsonl").read_text().splitlines()]


def ad(text: str, skills: Any = (), **more: Any) -> dict[str, Any]:
    return {"job_description": text, "skills": skills if not isinstance(skills, tuple) else list(skills), **more}


def test_golden(tmp_path: Path) -> None:
    done = Formatted(tmp_path, source_file(FOLDER / "format" / "ads.jsonl"))
    outputs = {name: (done.out / name).read_text() for name in ("rows.jsonl", "rejected.jsonl")}
    outputs["summary.json"] = json.dumps(done.summary, indent=1) + "\n"
    check_golden("format", stage.VERSION, outputs)


def test_a_row_is_cleaned_and_rendered(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [ad("<b>SQL</b> &amp; Go,\n\n\n daily", ("Go", "SQL"), id="one")])
    [row] = Formatted(tmp_path, file).rows
    assert row.text == "SQL & Go,\n\ndaily"
    assert row.skills == ("SQL", "Go")
    assert row.prompt == "### Job Description: SQL & Go,\n\ndaily\n### Skills:"
    assert row.answer == ' ["SQL", "Go"]'
    assert row.id == "one"


def test_columns_and_template_are_the_specs(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"body": "Go {text}", "tags": ["Go"], "nr": 5}])
    sections: dict[str, Any] = {
        "data": {"source": "x", "text": "body", "labels": "tags", "id": "nr", "cleaning": []},
        "prompt": {"template": "Ad: {text} Skills:"},
    }
    [row] = Formatted(tmp_path, file, **sections).rows
    assert (row.id, row.prompt, row.answer) == ("5", "Ad: Go {text} Skills:", ' ["Go"]')


def test_the_smallest_summary(tmp_path: Path) -> None:
    lines = [ad("SQL, Go", ("SQL", "Rust")), ad("Free lunch"), {"job_description": "Cook"}, "oops"]
    done = Formatted(tmp_path, write_lines(tmp_path / "a.jsonl", lines))
    assert done.summary == {
        "rows": 3,
        "rejected": 1,
        "with_labels": 2,
        "empty_labels": 1,
        "skills": 1,
        "labels_not_in_text": 1,
        "reasons": {"not JSON": 1},
    }
    assert done.rows[2].skills is None and done.rows[2].answer is None
    assert done.around.reports[-1].text == "3 rows, 1 rejected"
    assert done.around.reports[-1].fraction == 1.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"job_description": "Go", "skills": [}', "not JSON: unreadable at column 38"),
        (b'{"job_description": "\xff\xfe"}', "not UTF-8: byte 0xff at position 22"),
        ("[" * 100_000, "not JSON: nested too deep or a number too long"),
        ("3", "not a JSON object: the line is a number"),
        ({"skills": []}, "the text is missing: no column `job_description`"),
        (ad(None), "the text is missing: `job_description` is null"),  # type: ignore[arg-type]
        (ad(["Go"]), "the text is not a string: `job_description` is a list"),  # type: ignore[arg-type]
        (ad(""), "the text is empty: no letter or digit is left after cleaning"),
        (ad("<br> --- "), "the text is empty: no letter or digit is left after cleaning"),
        (ad("Go", "Go"), "the labels are not a list: `skills` is a string"),
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
    assert (entry["file"], entry["line"], entry["reason"]) == ("a.jsonl", 3, reason)
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


@pytest.mark.parametrize(
    ("labels", "text", "skills", "dropped"),
    [
        (["Java", "JavaScript"], "JavaScript, then Java", ["JavaScript", "Java"], 0),
        (["Java"], "JavaScript only", ["Java"], 0),
        (["SQL", "sql", "SQL"], "sql or SQL", ["sql"], 0),
        (["C++", "C#", ".NET"], "C#, C++ and .NET", ["C#", "C++", ".NET"], 0),
        (["R&amp;D", " Go "], "Go in R&D", ["Go", "R&D"], 0),
        (["python"], "Python", [], 1),
        (["", "  "], "Go", [], 2),
        (["Java", "Java EE"], "Java EE", ["Java", "Java EE"], 0),
    ],
)
def test_verbatim(labels: list[str], text: str, skills: list[str], dropped: int) -> None:
    assert stage.verbatim(labels, text, STEPS) == (skills, dropped)


@given(st.lists(st.text(max_size=12), max_size=6), st.text(max_size=40))
def test_skills_are_always_verbatim_distinct_and_survive_the_answer(labels: list[str], text: str) -> None:
    cleaned = " ".join([text, *labels[::2]])
    skills, dropped = stage.verbatim(labels, cleaned, ())
    assert all(skill in cleaned for skill in skills)
    assert len(skills) + dropped <= len(labels)
    assert len({skill.casefold() for skill in skills}) == len(skills)
    legal = [skill for skill in skills if skill.isprintable()]
    assert parse_answer(render_answer(legal)) == (legal, True)


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
    with pytest.raises(StageError, match=r"a\.jsonl: cannot be read any more \(No such file or directory\)"):
        Formatted(tmp_path, file)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", ["", "  "])
    with pytest.raises(StageError, match=r"a\.jsonl: no lines\. A source is JSON lines"):
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
    assert str(caught.value) == (
        f"{file.path}: none of 4 lines is usable (the labels are not a list: 3, the text is empty: 1). The first:\n"
        "  a.jsonl:1: the labels are not a list: `skills` is a string\n"
        "  a.jsonl:2: the text is empty: no letter or digit is left after cleaning\n"
        "  a.jsonl:3: the labels are not a list: `skills` is a string\n"
        "Mend these lines, or set data.text, data.labels and data.id to the columns that are meant."
    )


@pytest.mark.parametrize(
    "content", [b"id,text\n1,Go\n", json.dumps([ad("Go")], indent=1).encode(), "{}".encode("utf-16")]
)
def test_another_format_is_an_error_that_says_what_is_expected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"one object a line \(not one list over many lines, not CSV\)"):
        Formatted(tmp_path, source_file(path))


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
