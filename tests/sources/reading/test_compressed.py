"""gzip: the same rows as without it; cut off, damaged, or a bomb, it is one error."""

from __future__ import annotations

import gzip
import io
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.compressed import Unpacked
from tests.sources.reading.support import JSON_ROWS, as_csv, as_jsonl, error_of, read, values


@given(JSON_ROWS, st.integers(0, 200))
def test_rows_come_back_as_they_were_written(rows: list[dict[str, Any]], cut: int) -> None:
    content = as_jsonl(rows)
    assert values("a.jsonl.gz", gzip.compress(content)) == rows
    # Two members one after the other, as `cat a.gz b.gz` makes them, are one file.
    assert values("a.jsonl.GZ", gzip.compress(content[:cut]) + gzip.compress(content[cut:])) == rows
    assert values("a.json.gz", gzip.compress(json.dumps(rows).encode())) == rows


def test_csv_too() -> None:
    assert values("a.csv.gz", gzip.compress(as_csv(["a"], [["1"], ["2"]]))) == [{"a": "1"}, {"a": "2"}]


def test_a_file_of_0_bytes_has_no_rows() -> None:
    assert read("a.csv.gz", b"") == read("a.csv.gz", gzip.compress(b"")) == []


PACKED = gzip.compress(as_jsonl([{"a": random.Random(i).random()} for i in range(100)]))


@pytest.mark.parametrize("left", [5, 17, 500, len(PACKED) - 9, len(PACKED) - 1])
def test_a_file_that_is_cut_off(left: int) -> None:
    assert error_of("a.jsonl.gz", PACKED[:left]).startswith(
        f"/data/a.jsonl.gz: the gzip file is cut off after {left} bytes ("
    )


@pytest.mark.parametrize(
    "content",
    [
        PACKED[:200] + b"\0" * 50 + PACKED[250:],
        PACKED[:-8] + b"12345678",
        PACKED + b"and more",
        b"\x1f\x8b\x07 abcdefgh",
    ],
)
def test_a_file_that_is_damaged(content: bytes) -> None:
    assert error_of("a.jsonl.gz", content).startswith("/data/a.jsonl.gz: the gzip file is damaged after ")


def _zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(
        [packer.compress(b"x" * 64), *(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()]
    )


def test_a_bomb_is_one_error_that_says_how_large_it_grew() -> None:
    bomb = _zeros(700)
    assert len(bomb) < 1_000_000
    assert error_of("a.jsonl.gz", bomb) == (
        "/data/a.jsonl.gz: 0.3 MB of it grew to over 269.5 MB, and there is more: a gzip bomb, or one ad repeated without end. "
        "At most 200 times the packed size and 275 GB are read. If these are your ads, unpack the file and name that one."
    )


def test_what_is_large_and_packs_as_texts_do_is_no_bomb() -> None:
    line = as_jsonl([{"a": random.Random(1).randbytes(4000).hex()}])
    packed = gzip.compress(line, 1) * 100
    unpacked = Unpacked(SourceFile("/data/a.gz", ""), io.BytesIO(packed), free=1000)
    assert sum(len(piece) for piece in iter(lambda: unpacked.read(5000), b"")) == 100 * len(line)


def test_the_absolute_bound() -> None:
    unpacked = Unpacked(SourceFile("/data/a.gz", ""), io.BytesIO(PACKED), limit=1000)
    with pytest.raises(SourceError, match="At most 200 times the packed size and 1000 bytes are read"):
        while unpacked.read(100):
            pass
