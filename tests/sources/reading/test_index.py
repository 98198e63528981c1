"""Partitions by a date column: every dated row in one of them, and a hash that depends on its own rows alone."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.files import SourceFile
from skillsengine.sources.keys import key_of
from skillsengine.sources.reading.dates import parse_date
from skillsengine.sources.reading.index import DateIndex, index_by_date
from skillsengine.spec.schema import Period
from tests.sources.reading.support import as_csv, as_jsonl, as_parquet


def index(name: str, content: bytes, period: Period = "month") -> DateIndex:
    return index_by_date(SourceFile(f"/data/{name}", ""), io.BytesIO(content), "posted", period)


ROWS: list[dict[str, Any]] = [
    {"posted": "2021-03-09", "text": "a"},
    {"posted": "2021-04-01T00:30:00+02:00", "text": "b"},
    {"posted": "2021-04-01", "text": "c"},
]


def test_rows_are_counted_by_partition() -> None:
    found = index("a.jsonl", as_jsonl(ROWS))
    assert {key: rows for key, (rows, _) in found.partitions.items()} == {"2021-03": 2, "2021-04": 1}
    assert {key: rows for key, (rows, _) in index("a.jsonl", as_jsonl(ROWS), "week").partitions.items()} == {
        "2021-W10": 1,
        "2021-W13": 2,
    }


def test_rows_without_a_date_are_counted_and_the_first_named() -> None:
    content = as_jsonl([*ROWS, {"posted": None}, {"text": "d"}]) + b"oops\n" + as_jsonl([{"posted": "03/04/2021"}])
    found = index("a.jsonl", content)
    assert found.undated == 4
    assert found.first_undated == (
        "a.jsonl:4: no date: `posted`: it is null",
        "a.jsonl:5: no date: no column `posted` among `text`",
        "a.jsonl:6: not JSON: unreadable at character 1",
    )


def test_a_hash_depends_on_its_rows_their_order_and_nothing_else() -> None:
    whole = index("a.jsonl", as_jsonl(ROWS)).partitions
    assert index("b.jsonl", b"oops\n" + as_jsonl([{"posted": ""}, *ROWS[:2]])).partitions["2021-03"] == whole["2021-03"]
    spelled = [{"text": row["text"], "posted": row["posted"]} for row in ROWS]
    assert index("a.jsonl", as_jsonl(spelled)).partitions == whole
    turned = index("a.jsonl", as_jsonl([ROWS[1], ROWS[0], ROWS[2]])).partitions
    assert turned["2021-03"][1] != whole["2021-03"][1] and turned["2021-04"] == whole["2021-04"]
    changed = index("a.jsonl", as_jsonl([ROWS[0], ROWS[1], {**ROWS[2], "more": 1}])).partitions
    assert changed["2021-04"][1] != whole["2021-04"][1] and changed["2021-03"] == whole["2021-03"]


def test_the_hash_is_pinned() -> None:
    """Plans of earlier releases must find their rows again."""
    found = index("a.jsonl", as_jsonl([{"posted": "2021-03-09", "é": [1.5, None, True]}]))
    assert found.partitions["2021-03"][1] == "962d668a6e6562e8241fb03038387b577df729782db7ded0fa7d4e46567b6a43"
    columns = {"posted": [dt.date(2021, 3, 9)], "at": [dt.datetime(2021, 3, 9, 1, 2)], "raw": [b"\xff"]}
    assert (
        index("a.parquet", as_parquet(columns)).partitions["2021-03"][1]
        == "1a2e91d584316fff03555c6b4c30f3342baa90966dc790ec4d776145ae2e8a8d"
    )


def test_every_format_is_cut() -> None:
    cells = [[row["posted"], row["text"]] for row in ROWS]
    from_csv = index("a.csv", as_csv(["posted", "text"], cells))
    assert from_csv == index("a.jsonl", as_jsonl(ROWS))
    assert from_csv == index("a.parquet", as_parquet({key: [row[key] for row in ROWS] for key in ("posted", "text")}))


@given(
    st.lists(st.none() | st.dates() | st.text(max_size=5), max_size=20),
    st.sampled_from(["day", "week", "month", "quarter"]),
)
def test_every_row_is_counted_once(dates: list[Any], period: Period) -> None:
    found = index("a.jsonl", as_jsonl([{"posted": date and str(date)} for date in dates]), period)
    assert sum(rows for rows, _ in found.partitions.values()) + found.undated == len(dates)
    for day in dates:
        if not isinstance(day, str) and day is not None:
            assert key_of(parse_date(day), period) in found.partitions
    assert list(found.partitions) == sorted(found.partitions)
