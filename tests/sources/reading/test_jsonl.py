"""JSON lines: what was written comes back, a bad line costs itself, a long one is passed over."""

from __future__ import annotations

import io
import json
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given

from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.rows import MAX_ROW
from tests.sources.reading.support import JSON_ROWS, as_jsonl, read, values


@given(JSON_ROWS)
def test_rows_come_back_as_they_were_written(rows: list[dict[str, object]]) -> None:
    assert values("a.jsonl", as_jsonl(rows)) == rows
    assert values("a.jsonl", b"\xef\xbb\xbf" + as_jsonl(rows).replace(b"\n", b"\r\n\r\n")) == rows


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a": ', "not JSON: it ends before its object does"),
        (b'{"a": 1} {"a": 2}', "not JSON: unreadable at character 10"),
        (b'{"a": "\xe9"}', "not UTF-8: byte 0xe9 at position 8"),
        (b"[" * 100_000, "not JSON: nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON: a number of thousands of digits"),
        (b"[1]", "not a JSON object: it is a list"),
        (b'"a"', "not a JSON object: it is a string"),
        (b"null", "not a JSON object: it is null"),
        (b"true", "not a JSON object: it is true or false"),
    ],
)
def test_a_bad_line_is_rejected_alone(line: bytes, why: str) -> None:
    found = read("a.jsonl", b'{"a": 1}\n\n' + line + b'\n{"a": 2}\n')
    assert [(row.place, row.values) for row in found] == [(1, {"a": 1}), (3, None), (4, {"a": 2})]
    assert f"{found[1].reason}: {found[1].detail}" == why
    assert len(found[1].excerpt) <= 200
    found[1].excerpt.encode()


def test_the_last_line_needs_no_line_break() -> None:
    assert values("a.jsonl", b'{"a": 1}\n{"a": 2}') == [{"a": 1}, {"a": 2}]


def test_only_a_line_break_ends_a_line() -> None:
    row = {"a": "\u2028\x85\x0b\x1c\r"}
    assert values("a.jsonl", json.dumps(row, ensure_ascii=False).encode()) == [row]


@pytest.mark.parametrize("over", [0, 1])
def test_the_longest_row(over: int) -> None:
    line = b'{"a": "' + b"x" * (MAX_ROW - 10 + over) + b'"}\n'
    assert len(line) == MAX_ROW + over
    found = read("a.jsonl", line + b'{"a": 2}\n')
    assert [row.reason for row in found] == (["the row is too long", None] if over else [None, None])
    assert found[1].place == 2


def test_a_line_of_a_gigabyte_is_passed_over_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": 1}\n')
        file.seek(1 << 30, io.SEEK_CUR)
        file.write(b'\n{"a": 2}\n')
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with path.open("rb") as stream:
        found = [(row.place, row.reason) for row in read_rows(SourceFile(path, ""), stream)]
    assert found == [(1, None), (2, "the row is too long"), (3, None)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert time.monotonic() - started < 20
