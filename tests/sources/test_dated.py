"""A column with dates cuts a source into partitions, wherever it lies; rows without a date are counted."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skillsengine.sources.errors import SourceError
from skillsengine.sources.find import Source
from skillsengine.spec.schema import Data
from skillsengine.storage.catalog import Catalog
from tests.sources.looking import look
from tests.sources.servers import Place

UNSORTED = """id,posted
1,2026-03-31
2,2025-12-29
3,2026-01-01
4,2026-03-01T23:30:00-05:00
5,2026-03-31T23:59:59Z
6,2026-04-01T00:30:00+02:00
7,2025-12-31
"""
CUT = {
    "day": ["2025-12-29", "2025-12-31", "2026-01-01", "2026-03-02", "2026-03-31"],
    "week": ["2026-W01", "2026-W10", "2026-W14"],
    "month": ["2025-12", "2026-01", "2026-03"],
    "quarter": ["2025-Q4", "2026-Q1"],
}


def local(folder: Path, **data: Any) -> Source:
    return Source(Data(**{"source": "ads.csv", "date_column": "posted", **data}), folder, (folder,))


@pytest.mark.parametrize("period", CUT)
def test_partitions_of_each_period_in_utc(tmp_path: Path, period: str) -> None:
    (tmp_path / "ads.csv").write_text(UNSORTED)
    source = local(tmp_path, period=period)
    assert source.partitions() == CUT[period]
    assert source.notes() == ()


def test_what_identifies_a_partition_is_its_own_rows(tmp_path: Path) -> None:
    path = tmp_path / "ads.csv"

    def sha256s() -> dict[str, str]:
        source = local(tmp_path)
        return {key: source.files(key)[0].sha256 for key in source.partitions()}

    path.write_text(UNSORTED)
    before = sha256s()
    assert len(set(before.values())) == 3
    path.write_text(UNSORTED.replace("2,2025-12-29", "2,2025-12-30") + "8,2026-05-01\n")
    after = sha256s()
    assert {key for key in after if before.get(key) != after[key]} == {"2025-12", "2026-05"}
    path.write_text(UNSORTED.replace("3,2026-01-01\n", ""))
    assert sha256s() == {key: sha256 for key, sha256 in before.items() if key != "2026-01"}


def test_times_of_parquet_are_utc(tmp_path: Path) -> None:
    out = io.BytesIO()
    zone = timezone(timedelta(hours=-5))
    moments = [datetime(2026, 3, 31, 23, tzinfo=zone), datetime(2026, 3, 31, 18, 59, tzinfo=zone)]
    pq.write_table(pa.table({"posted": pa.array(moments, pa.timestamp("ms", "America/New_York"))}), out)
    (tmp_path / "ads.parquet").write_bytes(out.getvalue())
    assert local(tmp_path, source="ads.parquet").partitions() == ["2026-03", "2026-04"]
    pq.write_table(pa.table({"posted": [date(2026, 3, 31), None, date(2026, 1, 1)]}), out := io.BytesIO())
    (tmp_path / "ads.parquet").write_bytes(out.getvalue())
    assert local(tmp_path, source="ads.parquet", max_rejected=0.5).partitions() == ["2026-01", "2026-03"]
    assert datetime.now(UTC).tzinfo is UTC


def test_rows_without_a_date_are_counted(tmp_path: Path) -> None:
    bad = "".join(f"{n},{text}\n" for n, text in enumerate(("", "soon", "03/04/2026", "2026-03"), 10))
    (tmp_path / "ads.csv").write_text(UNSORTED + bad)
    with pytest.raises(SourceError) as caught:
        local(tmp_path).partitions()
    first, *places, last = str(caught.value).splitlines()
    assert first == (
        "data.source ads.csv: 4 of 11 rows have no date in the column `posted` (36.4%), and data.max_rejected allows 10%. "
        "The first:"
    )
    assert [place.partition(" no date: `posted`: ")[0] for place in places] == [
        f"  ads.csv:{line}:" for line in (9, 10, 11)
    ]
    assert "`03/04/2026` can be read as day and month or as month and day; write it as YYYY-MM-DD" in places[2]
    assert last == "Set data.date_column to the column with the date, mend the rows, or raise data.max_rejected."
    source = local(tmp_path, max_rejected=0.4)
    assert source.partitions() == CUT["month"]
    (note,) = source.notes()
    assert note.startswith(
        "4 of 11 rows have no date in the column `posted` (36.4%) and belong to no partition; the first: "
    )


def test_no_row_has_a_date(tmp_path: Path) -> None:
    (tmp_path / "ads.csv").write_text(UNSORTED)
    with pytest.raises(SourceError, match=r"7 of 7 rows have no date in the column `Posted` .*\n.*no column `Posted`"):
        local(tmp_path, date_column="Posted", max_rejected=1.0).partitions()
    (tmp_path / "ads.csv").write_text("id,posted\n")
    with pytest.raises(SourceError, match=r"data\.source ads\.csv: no rows\. Put the data there"):
        local(tmp_path).partitions()


def test_a_partition_without_rows(place: Place) -> None:
    place.put("ads.csv", UNSORTED)
    source = look(place.address("ads.csv"), date_column="posted")
    with pytest.raises(SourceError) as caught:
        source.files("2021-03")
    assert str(caught.value) == (
        f"no data for 2021-03 at {place.address('ads.csv')} (column `posted`): there is 2025-12 to 2026-03 (3 in all). "
        "Wait for it, put it there, or choose another partition."
    )


def test_several_files_are_read_once_and_cut_together(place: Place, catalog: Catalog) -> None:
    place.put("ads/a.csv", UNSORTED)
    place.put("ads/b.csv", "id,posted\n1,2026-03-05\n2,2026-06-01\n")
    options: dict[str, Any] = {"date_column": "posted", "memory": catalog}
    source = look(place.address("ads/*.csv"), **options)
    assert source.partitions() == ["2025-12", "2026-01", "2026-03", "2026-06"]
    assert [(file.name, file.partition) for file in source.files("2026-03")] == [
        ("a.csv", "2026-03"),
        ("b.csv", "2026-03"),
    ]
    assert [file.name for file in source.files("2026-06")] == ["b.csv"]
    place.front.forget()
    assert look(place.address("ads/*.csv"), **options).partitions() == source.partitions()
    assert place.front.bytes_of("a.csv") == 0
    # Late data: one file grows, and it alone is read again.
    place.put("ads/b.csv", "id,posted\n1,2026-03-05\n2,2026-06-01\n3,2026-07-01\n")
    assert look(place.address("ads/*.csv"), **options).partitions()[-1] == "2026-07"
    assert place.front.bytes_of("a.csv") == 0
    assert place.front.bytes_of("b.csv") > 0
    # Another period is another question.
    assert look(place.address("ads/*.csv"), period="quarter", **options).partitions() == [
        "2025-Q4",
        "2026-Q1",
        "2026-Q2",
        "2026-Q3",
    ]
