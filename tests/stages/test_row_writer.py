"""What is written beside the rows, and that nothing is kept in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.stages.row_writer import KeySet, write_rows
from skillsengine.stages.rows import Row, parse_row, read_rows, row_line
from skillsengine.stages.signatures import signatures_of
from tests.stages.formatted import row


def test_rows_index_and_signatures_belong_together(tmp_path: Path) -> None:
    rows = [
        row("A nurse with wound care.", ["wound care"], id="1", split="train"),
        row("A cook.", None, id="2"),
        row("a NURSE, with wound care", [], id="3", split="test"),
        row("A welder: “TIG”\u2028welding.", ["TIG"], id="4", split="validation"),
    ]
    write_rows(tmp_path, rows)
    assert list(read_rows(tmp_path)) == rows
    assert [found.id for found in read_rows(tmp_path, [0, 1, 0, 1])] == ["2", "4"]
    index = np.load(tmp_path / "rows.npy")
    assert [f"{key:016x}" for key in index["key"].tolist()] == [each.key for each in rows]
    assert index["split"].tolist() == [1, 0, 3, 2]
    assert index["labelled"].tolist() == [True, False, True, True]
    # One for each distinct text, in the order of their first occurrence.
    assert (np.load(tmp_path / "signatures.npy") == signatures_of([rows[place].text for place in (0, 1, 3)])).all()
    assert rows[0].answer == ' ["wound care"]' and rows[1].answer is None and rows[2].answer == " []"
    assert rows[1].prompt("Ad: {text}\nSkills:") == "Ad: A cook.\nSkills:"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    st.builds(
        Row,
        id=TEXTS,
        text=TEXTS,
        skills=st.none() | st.lists(TEXTS, max_size=3).map(tuple),
        key=TEXTS,
        split=st.sampled_from([None, "train", "validation", "test"]),
    )
)
def test_a_row_comes_back_from_its_line(found: Row) -> None:
    line = row_line(found)
    assert parse_row(line) == found
    assert line.endswith("\n") and len(line.split("\n")) == 2


def test_memory_stays_flat_while_the_file_grows(tmp_path: Path) -> None:
    def rows(count: int) -> Iterator[Row]:
        for number in range(count):
            yield row(f"{number} " * 20, [], id=str(number))

    def peak(count: int, name: str) -> int:
        (tmp_path / name).mkdir()
        tracemalloc.start()
        write_rows(tmp_path / name, rows(count))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(600, "warm")
    small, large = peak(1_000, "small"), peak(16_000, "large")
    # The keys: 24 bytes each, and up to 2,000 of them in a set before they are sorted in.
    assert large - small < 15_000 * 24 + 200_000
    assert (tmp_path / "large" / "rows.jsonl").stat().st_size > 15 * (tmp_path / "small" / "rows.jsonl").stat().st_size


@given(st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=12), st.booleans())
def test_a_key_is_new_once(batches: list[list[int]], sorted_in: bool) -> None:
    keys, seen = KeySet(), set[int]()
    if sorted_in:  # enough to be merged into the sorted array
        many = np.arange(20, 10_100, dtype=np.uint64)
        assert keys.add(many) == list(range(len(many)))
        seen |= set(many.tolist())
    for batch in batches:
        new = [place for place, key in enumerate(batch) if key not in seen and key not in batch[:place]]
        assert keys.add(np.array(batch, np.uint64)) == new
        seen |= set(batch)
