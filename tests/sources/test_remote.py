"""What every remote store has in common: which files are found, how they are read, and that they are read once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skillsengine.sources.errors import SourceError, SourceUnread
from skillsengine.sources.files import UNREAD
from skillsengine.storage.catalog import Catalog
from tests.sources.looking import content, error, files, look, names, rows
from tests.sources.servers import Place

ROWS = [
    {"id": "1", "job_description": "Wäscherei, 20 kg", "skills": "ironing"},
    {"id": "2", "job_description": "b", "skills": ""},
]

ODD_NAMES = ("my ads.csv", "Anzeigen für März.csv", "a+b.csv", "50%.csv", "a#1.csv", "a&b=c.csv", "a'b.csv")
DATED = [
    ("m/{partition}.csv", "month", ["2025-12", "2026-04"]),
    ("folders/{partition}/", "month", ["2025-12", "2026-04"]),
    ("folders/{partition}", "month", ["2025-12", "2026-04"]),
    ("folders/{partition}/a.csv", "month", ["2025-12", "2026-04"]),
    ("globs/v1-{partition}-x/*.csv", "month", ["2025-12", "2026-04"]),
    ("{partition}/{partition}.csv", "month", ["2025-12", "2026-04"]),
    ("d/{partition}.csv", "day", ["2025-12-31", "2026-04-01"]),
    ("w/{partition}.csv", "week", ["2025-W52", "2026-W01"]),
    ("q/{partition}.csv", "quarter", ["2025-Q4", "2026-Q1"]),
]
NO_KEYS = ("2026-13", "2026-5", "latest", "2026-W54", "2025-W53", "2026-02-30", "2026-Q5", "26-01")


def _csv(separator: str) -> bytes:
    lines = [ROWS[0].keys(), *(row.values() for row in ROWS)]
    return "\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines).encode()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "ads.jsonl": lambda: "\n".join(json.dumps(row) for row in ROWS).encode(),
    "ads.json": lambda: json.dumps(ROWS).encode(),
    "ads.csv": lambda: _csv(","),
    "ads.tsv": lambda: _csv("\t"),
    "ads.parquet": _parquet,
    "ads.csv.gz": lambda: gzip.compress(_csv(",")),
}


def test_a_file_of_each_format(place: Place) -> None:
    for name, make in FORMATS.items():
        body = make()
        place.put(f"all/{name}", body)
        (file,) = files(place.address(f"all/{name}"))
        assert (file.name, file.size, file.sha256) == (name, len(body), hashlib.sha256(body).hexdigest())
        assert rows(file) == ROWS, name
        assert content(file) == body


def test_a_folder_is_its_own_files(place: Place) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden.jsonl", "README.md", "deep/c.jsonl", "ads.zip"):
        place.put(f"data/{name}", "{}\n")
    place.put("data-of-others/x.jsonl", "{}\n")
    for path in ("data", "data/"):
        source = look(place.address(path))
        assert names(source.files(None)) == ["a.jsonl", "b.jsonl"]
        assert source.notes() == ("beside the data lies what is not read: ads.zip (unpack it)",)


def test_the_whole_of_it(place: Place) -> None:
    place.put("a.jsonl", "{}\n")
    assert names(files(place.address(""))) == ["a.jsonl"]
    assert names(files(place.address("").rstrip("/"))) == ["a.jsonl"]


def test_files_that_name_their_split(place: Place) -> None:
    for name in ("train", "dev", "test"):
        place.put(f"ads/{name}.csv", "id\n1\n")
    assert [(file.name, file.split) for file in files(place.address("ads"))] == [
        ("dev.csv", "validation"),
        ("test.csv", "test"),
        ("train.csv", "train"),
    ]


GLOBS = {
    "ads/*.csv": ["a.csv", "b.csv"],
    "ads/?.csv": ["a.csv", "b.csv"],
    "ads/[b-z]*": ["b.csv"],
    "ads/*/*.csv": ["c.csv", "d.csv"],
    "*/*/c*": ["c.csv"],
    "ads/*/": ["c.csv", "d.csv"],
    "ads/de/*.csv": ["c.csv"],
}


def test_globs(place: Place) -> None:
    for path in ("ads/a.csv", "ads/b.csv", "ads/de/c.csv", "ads/en/d.csv", "ads/.x.csv", "ads/a.csv.bak"):
        place.put(path, "id\n1\n")
    for glob, found in GLOBS.items():
        assert names(files(place.address(glob))) == found, glob


def test_a_file_whose_name_begins_others(place: Place) -> None:
    for path in ("ads.csv", "ads.csv.old.csv", "ads.csvx/b.csv"):
        place.put(path, "id\n1\n")
    assert names(files(place.address("ads.csv"))) == ["ads.csv"]


def test_names_with_odd_letters(place: Place) -> None:
    for name in ODD_NAMES:
        place.put(f"odd/{name}", f"id\n{name}\n")
        (file,) = files(place.address(f"odd/{name}"))
        assert content(file) == f"id\n{name}\n".encode()
    found = files(place.address("odd/*.csv"))
    assert names(found) == sorted(ODD_NAMES)
    assert [content(file) for file in found] == [f"id\n{file.name}\n".encode() for file in found]


def test_partitions_that_are_there(place: Place) -> None:
    place.put("m/README.md", "x")
    for path, _, keys in DATED:
        for key in (*keys, *(NO_KEYS if path in ("m/{partition}.csv", "folders/{partition}/") else ())):
            whole = path.replace("{partition}", key).replace("*", "a")
            place.put(whole if whole.endswith(".csv") else f"{whole.rstrip('/')}/a.csv", f"id\n{key}\n")
    for path, period, keys in DATED:
        source = look(place.address(path), period=period)
        assert source.partitions() == keys, path
        for key in keys:
            (file,) = source.files(key)
            assert (content(file), key in str(file.uri)) == (f"id\n{key}\n".encode(), True)


def test_a_partition_that_is_not_there(place: Place) -> None:
    address = place.address("ads/{partition}.csv")
    place.put("ads/README.md", "x")
    said = error(address, "2021-03")
    assert re.search(r"^no data for 2021-03 at \S+/ads/2021-03\.csv: no month of it is there\. Wait for it", said)
    place.put("ads/2021-01.csv", "id\n1\n")
    place.put("ads/2021-02.csv", "id\n1\n")
    said = error(address, "2021-03")
    assert "there is 2021-01 to 2021-02 (2 in all). Wait for it, put it there, or choose another partition." in said


def test_a_place_without_data(place: Place) -> None:
    place.put("ads/notes.md", "x")
    place.put("ads/ads.xlsx", "x")
    for path in ("nothing/here.csv", "nothing", "ads/*.csv", "ads", "ads/"):
        said = error(place.address(path))
        assert said.startswith(f"no data at {place.address(path)}"), said
        assert "a source is a file whose name ends in .jsonl" in said, said


def test_a_file_that_is_not_read(place: Place) -> None:
    place.put("ads/ads.xlsx", "x")
    said = error(place.address("ads/ads.xlsx"))
    assert said.startswith(f"{place.address('ads/ads.xlsx')} is not read:")
    assert said.endswith("Save the sheet as CSV.")


def test_files_of_two_formats(place: Place) -> None:
    place.put("ads/a.csv", "id\n1\n")
    place.put("ads/b.jsonl", "{}\n")
    assert "holds CSV (a.csv) and JSON lines (b.jsonl): the files of a source are of one format" in error(
        place.address("ads")
    )


def test_the_second_plan_reads_no_byte(place: Place, catalog: Catalog) -> None:
    place.put("ads/2026-01.csv", b"id\n" + b"1\n" * 5000)
    place.put("ads/2026-02.csv", b"id\n" + b"2\n" * 5000)
    address = place.address("ads/{partition}.csv")
    first = files(address, "2026-01", memory=catalog)
    read = place.front.bytes_of("ads/2026-01.csv")
    assert read >= 10_000
    assert place.front.bytes_of("ads/2026-02.csv") == 0
    place.front.forget()
    assert files(address, "2026-01", memory=catalog) == first
    assert files(address, "2026-01", memory=catalog, read=False) == first
    assert place.front.bytes_of("ads/2026-01.csv") == 0
    assert len(place.front.asked) < 8
    place.put("ads/2026-01.csv", b"id\n" + b"3\n" * 5000)
    (again,) = files(address, "2026-01", memory=catalog)
    assert again.sha256 == hashlib.sha256(b"id\n" + b"3\n" * 5000).hexdigest()
    assert place.front.bytes_of("ads/2026-01.csv") >= 10_000


def test_a_plan_that_shall_not_download(place: Place, catalog: Catalog) -> None:
    place.put("ads/2026-01.csv", "id,posted\n1,2026-01-05\n")
    (file,) = files(place.address("ads/{partition}.csv"), "2026-01", memory=catalog, read=False)
    assert (file.sha256, file.unread, file.size) == (UNREAD, True, 23)
    with pytest.raises(SourceUnread, match="was never read: which partitions it has stands in its column `posted`"):
        look(place.address("ads/*.csv"), date_column="posted", memory=catalog, read=False).partitions()
    assert place.front.bytes_of("2026-01.csv") == 0
    assert look(place.address("ads/*.csv"), date_column="posted", memory=catalog).partitions() == ["2026-01"]
    assert look(place.address("ads/*.csv"), date_column="posted", memory=catalog, read=False).partitions() == [
        "2026-01"
    ]


def test_what_is_asked_of_a_dated_source_must_fit(place: Place) -> None:
    with pytest.raises(SourceError, match="is dated: say which partition"):
        files(place.address("ads/{partition}.csv"))
    with pytest.raises(SourceError, match="`2026` is no partition: a month is written as YYYY-MM"):
        files(place.address("ads/{partition}.csv"), "2026")
    assert not place.front.asked


def test_dates_in_parquet_cost_one_download(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of Parquet jumps from column to column."""
    monkeypatch.setattr("skillsengine.sources.objects._BLOCK", 1 << 20)
    noise = random.Random(0)
    columns = {name: [noise.randbytes(200).hex() for _ in range(8000)] for name in ("a", "b", "c")}
    out = io.BytesIO()
    pq.write_table(pa.table({**columns, "posted": ["2026-01-05"] * 8000}), out)
    bucket.put("ads.parquet", out.getvalue())
    assert look(bucket.address("ads.parquet"), date_column="posted").partitions() == ["2026-01"]
    assert len(out.getvalue()) > 4 << 20
    assert bucket.front.bytes_of("ads.parquet") < 1.1 * len(out.getvalue())
