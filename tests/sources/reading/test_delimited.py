"""CSV and TSV: quotes, line breaks in cells, separators, ragged rows, and files that are cut off."""

from __future__ import annotations

import csv

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skillsengine.sources.reading.rows import MAX_ROW
from tests.sources.reading.support import TEXTS, as_csv, error_of, notes_of, read, values


@given(
    st.lists(st.tuples(TEXTS, TEXTS), max_size=8),
    st.sampled_from([("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("a.tsv", ",")]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.booleans(),
)
def test_rows_come_back_as_they_were_written(
    rows: list[tuple[str, str]], kind: tuple[str, str], line_end: str, quoting: int, marked: bool
) -> None:
    # Before Python 3.13 the writer leaves a carriage return outside of quotes, where it ends the row.
    assume(line_end == "\r\n" or quoting == csv.QUOTE_ALL or not any("\r" in cell for row in rows for cell in row))
    assume(not any("\0" in cell for row in rows for cell in row))  # rejected: see below
    name, separator = kind
    content = as_csv(["text", "skills"], rows, delimiter=separator, lineterminator=line_end, quoting=quoting)
    found = values(name, b"\xef\xbb\xbf" * marked + content)
    assert found == [{"text": text, "skills": skills} for text, skills in rows]


def test_a_last_row_that_is_cut_off_says_so() -> None:
    assert values("a.csv", b"text,skills\ngood,1\ncut") == [
        {"text": "good", "skills": "1"},
        (3, "mixed columns: 1 cell, the header has 2, and the file ends there, without a line break"),
    ]


def test_a_row_is_named_by_the_line_that_it_begins_in() -> None:
    content = b'text,skills\n"a\nb",x\n\n"c",y\n"d\n\ne",z\nf,g,h\n'
    assert [(row.place, row.values and row.values["text"]) for row in read("a.csv", content)] == [
        (2, "a\nb"),
        (5, "c"),
        (6, "d\n\ne"),
        (9, None),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"a,b,c", "mixed columns: 3 cells, the header has 2"),
        (b"a", "mixed columns: 1 cell, the header has 2"),
        (b"a,b\0\0", "NUL bytes: a part of the file was never written"),
        (b"a,\xe9", "not UTF-8: byte 0xe9 in `skills`"),
        (b'"a"b,c', "not CSV: a quoted cell goes on after its closing quote; quotes in a text are doubled"),
        (b"a\rb,c", "not CSV: a carriage return stands in the row, outside of quotes"),
        (b"x" * (MAX_ROW + 1), "the row is too long: over 16 MB; it was passed over unread"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_row_is_rejected_alone(line: bytes, why: str) -> None:
    content = b"text,skills\ngood,1\n" + line + b"\nalso good,2\n"
    assert values("a.csv", content) == [
        {"text": "good", "skills": "1"},
        (3, why),
        {"text": "also good", "skills": "2"},
    ]


@pytest.mark.parametrize(
    ("name", "header", "note"),
    [
        ("a.csv", b"text;skills", "a.csv: read with semicolons between the cells, though its name says CSV"),
        ("a.csv", b"text\tskills", "a.csv: read with tabs between the cells, though its name says CSV"),
        ("a.tsv", b"text,skills", "a.tsv: read with commas between the cells, though its name says TSV"),
        ("a.csv", b'"text; long",skills', None),
        ("a.csv", b"text", None),
    ],
)
def test_another_separator_in_the_header_is_recognized_and_told(name: str, header: bytes, note: str | None) -> None:
    assert notes_of(name, header + b"\n") == ([note] if note else [])


def test_columns_without_a_name_are_left_out() -> None:
    assert values("a.csv", b",text,\n0,Go,\n1,SQL,x\n") == [{"text": "Go"}, {"text": "SQL"}]


@pytest.mark.parametrize("content", [b"", b"\n", b"text,skills\n", b"text,skills", b"\xef\xbb\xbftext,skills\r\n\r\n"])
def test_no_rows(content: bytes) -> None:
    assert read("a.csv", content) == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b'text,skills\na,b\n"cut off,b\nc,d\n',
            "a quote that opens in the row of line 3 is never closed: the file ends within it. Either the file is cut off",
        ),
        (
            b'text,skills\na,b\n"' + b"x,y\n" * (MAX_ROW // 4) + b'"\n',
            "a quote that opens in the row of line 3 is never closed: the file goes on for over 16 MB within it.",
        ),
        (
            b'text,skills\n"a\n' + b"x" * (MAX_ROW + 1) + b'"\n',
            "a quote that opens in the row of line 2 is never closed: the file goes on for over 16 MB within it.",
        ),
        (
            b"text,t\xe9xt\n",
            "the header is not UTF-8 (byte 0xe9 at position 7). Convert the file: "
            "iconv -f WINDOWS-1252 -t UTF-8 < a.csv > utf8-a.csv",
        ),
        (b"text,skills\ra,b\r", "its lines end with carriage returns alone. Convert them: tr '\\r' '\\n' < a.csv"),
        (b"text,skills,text\n", "two columns of the header are called `text`. Rename one of them."),
        (b'text,"skills\n', "the header cannot be read: a quote in it is not closed."),
        (b",,\n", "the header names no column. The first line names the columns, each line below is a row."),
        (b"x" * (MAX_ROW + 1), "no header: the first line is over 16 MB long."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_cannot_be_read_is_one_error(content: bytes, error: str) -> None:
    assert error_of("a.csv", content).startswith(f"/data/a.csv: {error}")
