"""JSON: one list, read item by item, whatever the size of the pieces that are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.reading import json_list
from skillsengine.sources.reading.rows import MAX_ROW
from tests.sources.reading.support import JSON_ROWS, as_jsonl, error_of, notes_of, read, values

DEEP = b"[" * 5000 + b"]" * 5000
"""Deeper than Python 3.11 reads; 3.13 reads it, and then it is a list where an object is wanted."""
try:
    json.loads(DEEP)
    DEEP_REASON = "not a JSON object: it is a list"
except RecursionError:
    DEEP_REASON = "not JSON: nested too deep"


@given(JSON_ROWS, st.sampled_from([None, 0, 3]), st.booleans(), st.integers(1, 40))
def test_rows_come_back_as_they_were_written(
    rows: list[dict[str, Any]], indent: int | None, escaped: bool, chunk: int
) -> None:
    content = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "_CHUNK", chunk)
        assert values("a.json", content) == rows
        assert values("a.json", b"\xef\xbb\xbf\n " + content + b"\r\n ") == rows


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("item", "why"),
    [
        (b"oops", "not JSON: unreadable at character 1"),
        (b'{"a": oops, "b": [1, 2]}', "not JSON: unreadable at character 7"),
        (b'{"a": 1} {"a": 2}', "not JSON: unreadable at character 10"),
        (b'{"a": "\xe9\xff"}', "not UTF-8: byte 0xe9 at position 8"),
        (b'{"\xe9": oops}', "not UTF-8: byte 0xe9 at position 3"),
        (DEEP, DEEP_REASON),
        (b"12345", "not a JSON object: it is a number"),
        (b'"a, ] \\" }"', "not a JSON object: it is a string"),
        (b'[{"a": 1}]', "not a JSON object: it is a list"),
        (b"", "not JSON: unreadable at character 1"),
    ],
)
def test_a_bad_item_is_rejected_alone(item: bytes, why: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "_CHUNK", chunk)
    content = b'[{"a": 1}, ' + item + b', {"a": 2}]'
    assert values("a.json", content) == [{"a": 1}, (2, why), {"a": 2}]


def test_half_a_surrogate_pair_is_no_bad_byte() -> None:
    assert values("a.json", b'[{"a": "\\udc80 \xc3\xa9"}]') == [{"a": "\udc80 é"}]


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf", b"[]", b" [ ] \n"])
def test_no_rows(content: bytes) -> None:
    assert read("a.json", content) == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'[{"a": 1}, {"a": ', "the list is cut off at row 2: the file ends before the list does. Copy or write"),
        (b'[{"a": 1}, {"a": 2}', "the list is cut off at row 2"),
        (b'[{"a": 1}, ', "the list is cut off at row 2"),
        (b"[", "the list is cut off at row 1"),
        (b'[{"a": "1}, {"a": 2}]', "the list is cut off at row 1"),
        (
            b'[{"a": 1}] [{"a": 2}]',
            'after the list of 1 rows stands `[{"a": 2}]`. A file holds one list: join the lists',
        ),
        (b'"a"', 'it begins with `"`, not with a list. Write the rows as one list ([{...}, {...}]; with pandas'),
        (
            b'{"rows": [{"a": 1}]}\n',
            "it is one object whose `rows` holds the rows. Write that list alone: jq .rows < a.json > rows-a.json",
        ),
        (
            b'{\n "a": {"0": 1}\n}',
            "it is one object, or several over many lines, and not a list of rows. Write the rows",
        ),
    ],
)
def test_a_file_that_is_no_list_is_one_error(content: bytes, error: str) -> None:
    assert error_of("a.json", content).startswith(f"/data/a.json: {error}")


def test_an_item_without_end_is_one_error_and_not_all_of_the_file_in_memory() -> None:
    content = b'[{"a": 1}, {"a": "\\"' + b"1" * 2 * MAX_ROW + b'"}, {"a": 2}]'
    assert error_of("a.json", content) == (
        '/data/a.json: row 2 is longer than 16 MB, which no row is: it begins `{"a": "\\"1111111111111111111111111111111`. '
        "If a quote or a bracket in it has no end, mend it there; else take the row out."
    )


@pytest.mark.parametrize("rows", [[{"a": 1}, {"a": 2}], [{"a": 1}], [{"a": []}, {"a": 3}]])
def test_json_lines_under_the_name_of_json_are_read_and_told(rows: list[dict[str, Any]]) -> None:
    assert values("a.json", as_jsonl(rows)) == rows
    assert notes_of("a.json", as_jsonl(rows)) == ["a.json: read as JSON lines, though its name ends in .json"]
