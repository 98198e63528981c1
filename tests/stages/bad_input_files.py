"""Ten good ads, and the bytes of rows in every format that is read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

PLAIN = ("jsonl", "json", "csv", "tsv")
"""Formats that are text."""
PACKED = tuple(f"{kind}.gz" for kind in PLAIN)
READERS = (*PLAIN, "parquet", *PACKED)
JSONS = ("jsonl", "json", "jsonl.gz", "json.gz")
CELLS = ("csv", "tsv", "csv.gz", "tsv.gz")

_TRADES = ("welding", "baking", "tiling", "sewing", "coding", "driving", "plumbing", "drawing", "singing", "mowing")


def ad(number: int, **other: Any) -> dict[str, Any]:
    """A good ad, five of January and five of February; `other` replaces or adds columns."""
    trade, month, day = _TRADES[number % 10], 1 + number // 5 % 2, 1 + number % 28
    row = {
        "id": f"ad-{number}",
        "job_description": f"Shop {number} wants {trade} in shift {number * 7}.",
        "skills": [trade, f"shift {number * 7}"],
        "posted": f"2026-{month:02}-{day:02}",
    }
    return row | other


def ads(*bad: Row, after: int = 5) -> list[Row]:
    """The ten good ads with `bad` ones among them."""
    good: list[Row] = [ad(number) for number in range(10)]
    return [*good[:after], *bad, *good[after:]]


def without(column: str, rows: Iterable[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


def renamed(old: str, new: str, rows: Iterable[Row]) -> list[Row]:
    return [{new if name == old else name: value for name, value in row.items()} for row in rows]


def encode(kind: str, rows: Sequence[Row], *, encoding: str = "utf-8") -> bytes:
    """The rows as a file of `kind`; in CSV and TSV a list is written with commas, and null as an empty cell."""
    if kind.endswith(".gz"):
        return packed(encode(kind.removesuffix(".gz"), rows, encoding=encoding))
    if kind == "parquet":
        return parquet(rows)
    if kind == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif kind == "json":
        text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
    else:
        text = _cells(rows, "\t" if kind == "tsv" else ",")
    return text.encode(encoding)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def on_text(kind: str, content: bytes, change: Any) -> bytes:
    """`change` done to the text of a file, inside of gzip too."""
    return packed(change(gzip.decompress(content))) if kind.endswith(".gz") else bytes(change(content))


def parquet(rows: Sequence[Row], **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    write_table(pa.Table.from_pylist(list(rows)), file, **options)
    return file.getvalue()


def _cells(rows: Sequence[Row], separator: str) -> str:
    text = io.StringIO(newline="")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
