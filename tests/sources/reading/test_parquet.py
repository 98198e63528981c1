"""Parquet: values come back as Python's, batch by batch; a value that Python cannot hold costs its row."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading import parquet
from skillsengine.sources.reading.formats import read_rows
from tests.sources.reading.support import TEXTS, as_parquet, error_of, notes_of, read, values

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | TEXTS,
            "skills": st.none() | st.lists(st.none() | TEXTS, max_size=3),
            "number": st.none() | st.integers(-(2**63), 2**63 - 1),
            "share": st.none() | st.floats(allow_nan=False),
            "flag": st.none() | st.booleans(),
            "day": st.none() | st.dates(),
            "moment": st.none() | st.datetimes(),
            "raw": st.none() | st.binary(max_size=5),
            "nested": st.none()
            | st.fixed_dictionaries({"a": st.none() | TEXTS, "b": st.lists(st.dates(), max_size=2)}),
        }
    ),
    min_size=1,
    max_size=6,
)


def schema() -> Any:
    import pyarrow as pa

    nested = pa.struct([("a", pa.string()), ("b", pa.list_(pa.date32()))])
    return pa.schema(
        [
            ("text", pa.string()),
            ("skills", pa.list_(pa.string())),
            ("number", pa.int64()),
            ("share", pa.float64()),
            ("flag", pa.bool_()),
            ("day", pa.date32()),
            ("moment", pa.timestamp("us")),
            ("raw", pa.binary()),
            ("nested", nested),
        ]
    )


@given(ROWS, st.sampled_from(["snappy", "zstd", "none"]), st.integers(1, 6))
def test_rows_come_back_as_they_were_written(rows: list[dict[str, Any]], packed: str, group: int) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=schema())
    columns = dict(zip(table.column_names, table.columns, strict=True))
    assert values("a.parquet", as_parquet(columns, compression=packed, row_group_size=group)) == rows


def test_rows_are_numbered_over_row_groups() -> None:
    found = read("a.parquet", as_parquet({"a": list(range(1200))}, row_group_size=700))
    assert [(row.place, row.values) for row in found] == [(i + 1, {"a": i}) for i in range(1200)]


def test_times_become_pythons_own_in_utc_without_pandas(tmp_path: Path) -> None:
    import pyarrow as pa

    moment, zoned = pa.timestamp("ns"), pa.timestamp("us", "Europe/Paris")
    columns = {
        "a": pa.array([1_600_000_000_000_000_001], moment),
        "b": pa.array([-3_600_000_000], zoned),
        "c": pa.array([[1001]], pa.list_(moment)),
        "d": pa.array([1001], pa.duration("ns")),
        "e": pa.array([1001], pa.time64("ns")),
    }
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(columns))
    program = (
        "import sys\n"
        "from skillsengine.sources.files import SourceFile\n"
        "from skillsengine.sources.reading.formats import read_rows\n"
        "[row] = read_rows(SourceFile(sys.argv[1], ''), open(sys.argv[1], 'rb'))\n"
        "print(*row.values.values(), 'pandas' in sys.modules, sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "2020-09-13 12:26:40|1969-12-31 23:00:00|[datetime.datetime(1970, 1, 1, 0, 0, 0, 1)]|0:00:00.000001|"
        "00:00:00.000001|False"
    )


def test_decimals_and_dictionaries() -> None:
    import pyarrow as pa

    columns = {"pay": [decimal.Decimal("1.50")], "kind": pa.array(["x"]).dictionary_encode()}
    assert values("a.parquet", as_parquet(columns)) == [{"pay": decimal.Decimal("1.50"), "kind": "x"}]


def test_a_value_that_python_cannot_hold_costs_its_row() -> None:
    import pyarrow as pa

    year_30000 = pa.array([0, 884_541_600_000_000_000, 1], pa.timestamp("us"))
    found = values("a.parquet", as_parquet({"moment": year_30000, "text": ["a", "b", "c"]}))
    assert found[0] == {"moment": dt.datetime(1970, 1, 1), "text": "a"}
    assert found[1] == (2, "a value cannot be read: `moment`, of type timestamp[us]")
    assert found[2] == {"moment": dt.datetime(1970, 1, 1, 0, 0, 0, 1), "text": "c"}


def test_text_that_is_not_utf8_costs_its_row() -> None:
    import pyarrow as pa

    texts = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xe9"]).buffers())
    assert values("a.parquet", as_parquet({"text": texts})) == [{"text": "a"}, (2, "not UTF-8: byte 0xe9 in `text`")]


def test_a_row_that_is_too_long_is_rejected() -> None:
    found = read("a.parquet", as_parquet({"text": ["a", "x" * (17 << 20), "b"]}))
    assert [row.reason for row in found] == [None, "the row is too long", None]
    assert found[1].excerpt == "x" * 200


def test_a_stream_that_cannot_seek_is_read_too() -> None:
    class Forward(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation("seek")

    found = read_rows(SourceFile("/data/a.parquet", ""), Forward(as_parquet({"a": [1, 2]})))
    assert [row.values for row in found] == [{"a": 1}, {"a": 2}]


WHOLE = as_parquet({"text": [f"ad {i}" for i in range(500)]}, compression="none", use_dictionary=False)


@pytest.mark.parametrize("content", [b"PAR1", WHOLE[: len(WHOLE) // 2], WHOLE[:-1]])
def test_a_file_that_is_cut_off(content: bytes) -> None:
    assert error_of("a.parquet", content) == (
        "/data/a.parquet: the Parquet file is cut off: its last bytes are not those of one. Copy or write it again, whole."
    )


def test_a_file_that_is_no_parquet() -> None:
    assert error_of("a.parquet", b"text,skills\na,b\n") == (
        "/data/a.parquet: it is no Parquet file, for it begins `text,skills\\n`. Let its name end in what it is "
        "(.csv, .jsonl), or write it as Parquet, not encrypted."
    )
    assert read("a.parquet", b"") == [] and notes_of("a.parquet", b"") == ["a.parquet: empty (0 bytes)"]


def test_a_file_whose_middle_is_damaged() -> None:
    content = WHOLE[:4] + b"\xff" * 40 + WHOLE[44:]
    assert error_of("a.parquet", content).startswith("/data/a.parquet: the Parquet file ")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_FREE", 1 << 20)
    bomb = as_parquet({"text": ["x" * (1 << 20)] * 8}, compression="zstd", use_dictionary=False)
    assert error_of("a.parquet", bomb).endswith(
        "would grow to 8.4 MB: a bomb, or one ad repeated without end. At most 200 times the packed size is read. "
        "If these are your ads, write the file again without the copies."
    )
