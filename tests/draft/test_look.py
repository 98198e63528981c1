"""What is looked at: a bounded part of any data, and one clear error where there is nothing to see."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from skillsengine.draft import look as looking
from skillsengine.draft.errors import DraftError
from skillsengine.draft.look import Sample, look
from skillsengine.draft.place import DataFile, Place
from skillsengine.sources.errors import SourceError
from skillsengine.sources.reading.rows import RawRow
from tests.draft.support import ads, looked_at, write_table


def test_a_small_file_is_looked_at_whole(tmp_path: Path) -> None:
    _, sample = looked_at(write_table(tmp_path / "ads.jsonl", ads(30)))
    assert (len(sample.rows), sample.whole, sample.extent) == (30, True, "all 30 rows")
    assert sample.columns == ["text", "skills"]


def test_of_a_large_file_the_first_rows_are_looked_at(tmp_path: Path) -> None:
    _, sample = looked_at(write_table(tmp_path / "ads.csv", ads(looking.MAX_ROWS + 1)))
    assert (len(sample.rows), sample.whole, sample.extent) == (5000, False, "the first 5,000 rows")


def test_exactly_as_many_rows_as_are_looked_at_are_all(tmp_path: Path) -> None:
    assert looked_at(write_table(tmp_path / "ads.csv", ads(looking.MAX_ROWS)))[1].extent == "all 5,000 rows"


def test_of_many_files_the_first_and_the_last_and_some_between(tmp_path: Path) -> None:
    for number in range(100):
        write_table(tmp_path / f"part-{number:03}.jsonl", [{**row, "part": number} for row in ads(200)])
    _, sample = looked_at(tmp_path)
    parts = sorted({row["part"] for row in sample.values})
    assert (len(parts), parts[0], parts[-1]) == (48, 0, 99)
    assert max(right - left for left, right in pairwise(parts)) <= 3
    assert sample.extent == "5,000 rows of 48 files"


def test_small_files_leave_their_share_to_large_ones(tmp_path: Path) -> None:
    for number, rows in enumerate((10, 10, 9000)):
        write_table(tmp_path / f"{number}.jsonl", ads(rows))
    assert len(looked_at(tmp_path)[1].rows) == looking.MAX_ROWS


def test_huge_values_end_the_look_early(tmp_path: Path) -> None:
    _, sample = looked_at(write_table(tmp_path / "ads.jsonl", [{"text": "word " * 800_000}] * 20))
    assert len(sample.rows) == 8 and not sample.whole  # 4 MB each, 32 MB in all


def test_deep_and_wide_json_counts_by_what_is_in_it(tmp_path: Path) -> None:
    deep = "[" * 900 + "]" * 900
    wide = json.dumps({str(number): ["x" * 100] * 10 for number in range(1000)})
    path = tmp_path / "ads.jsonl"
    path.write_text(f'{{"text": "an ad", "deep": {deep}, "wide": {wide}}}\n' * 3)
    _, sample = looked_at(path)
    assert len(sample.rows) == 3
    assert sample.characters > 3 * 1000 * 10 * 100


def test_rows_that_cannot_be_read_are_counted_and_the_first_kept(tmp_path: Path) -> None:
    path = write_table(tmp_path / "ads.jsonl", ads(3))
    path.write_text(path.read_text() + "{broken\n" * 7 + "[1]\n")
    _, sample = looked_at(path)
    assert (len(sample.rows), sample.rejected_count, len(sample.rejected)) == (3, 8, 3)
    assert sample.extent == "all 11 rows"


def test_one_row_is_said_in_the_singular() -> None:
    assert Sample([RawRow("ads.csv", 2, {})], files=1).extent == "the only row"
    assert Sample([RawRow("ads.csv", 2, {})], files=1, whole=False).extent == "the first 1 row"
    assert Sample([RawRow("ads.csv", 2, {})], rejected_count=1, files=1).extent == "all 2 rows"


def test_columns_whose_name_cannot_be_written_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ads.jsonl"
    path.write_text('{"text": "an ad", "\\ud83d": 1, " ": 2, "a: b #c": 3}\n{"later": 1}\n')
    assert looked_at(path)[1].columns == ["text", "a: b #c", "later"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ads.jsonl", "", "ads.jsonl: empty (0 bytes). Was it saved, downloaded whole?"),
        ("ads.csv", "text,skills\n", "ads.csv: no rows: there is nothing below the header, or the lines are blank."),
        ("ads.jsonl", "\n\n  \n", "ads.jsonl: no rows: there is nothing below the header, or the lines are blank."),
        ("ads.json", "[]", "ads.json: no rows: there is nothing below the header, or the lines are blank."),
        (
            "ads.jsonl",
            "{broken\n[1]\n'x'\n{'a'}\n",
            "ads.jsonl: none of the 4 rows can be read. The first:\n"
            "  ads.jsonl:1: not JSON: unreadable at character 2\n"
            "  ads.jsonl:2: not a JSON object: it is a list\n"
            "  ads.jsonl:3: not JSON: unreadable at character 1\n"
            "Mend them where they were written, or write the file again.",
        ),
        (
            "ads.csv",
            "text,skills\na,b,c\n",
            "none of the 1 rows can be read. The first:\n  ads.csv:2: mixed columns: 3 cells, the header has 2\n",
        ),
    ],
)
def test_data_without_a_row_is_an_error(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DraftError) as error:
        looked_at(tmp_path / name)
    assert told in str(error.value)
    assert str(error.value).startswith(f"--data: {tmp_path}")


def test_a_long_broken_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "ads.jsonl.gz"
    path.write_bytes(gzip.compress(b"{broken\n" * 200_000))
    with pytest.raises(DraftError, match=r"none of the first 5,000 rows can be read"):
        looked_at(path)


def test_overlong_rows_are_not_passed_over_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "ads.jsonl.gz"
    line = gzip.compress(b'{"text": "' + b"x" * (17 << 20) + b'"}\n', 1)
    path.write_bytes(line * 12 + gzip.compress(b'{"text": "an ad"}\n'))
    with pytest.raises(DraftError, match=r"none of the first 8 rows can be read(.|\n)*over 16 MB"):
        looked_at(path)


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_table(tmp_path / "ads.csv", ads(3))
    place = Place(tmp_path, "ads.csv", (DataFile(path),))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may read everything: chmod would not fail here

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        DraftError, match=r"ads.csv cannot be read: Permission denied. Mend its permissions, or copy it"
    ):
        look(place)


def test_what_the_readers_refuse_passes_through(tmp_path: Path) -> None:
    (tmp_path / "ads.csv").write_bytes("text;Fähigkeiten\n".encode("latin-1"))
    with pytest.raises(SourceError, match="the header is not UTF-8"):
        looked_at(tmp_path / "ads.csv")
