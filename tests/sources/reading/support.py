"""Files in memory and what a reader makes of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.rows import RawRow


def read(name: str, content: bytes) -> list[RawRow]:
    """The rows of a file."""
    return list(read_rows(SourceFile(f"/data/{name}", ""), io.BytesIO(content)))


def notes_of(name: str, content: bytes) -> list[str]:
    """What the reader found out by itself."""
    notes: list[str] = []
    for _ in read_rows(SourceFile(f"/data/{name}", ""), io.BytesIO(content), notes.append):
        pass
    return notes


def values(name: str, content: bytes) -> list[Any]:
    """The values of each row, or (place, why it is rejected)."""
    return [
        row.values if row.values is not None else (row.place, f"{row.reason}: {row.detail}")
        for row in read(name, content)
    ]


def error_of(name: str, content: bytes) -> str:
    """The text of the error that the file is refused with."""
    try:
        found = read(name, content)
    except SourceError as error:
        return str(error)
    raise AssertionError(f"no error, but {len(found)} rows")


def as_jsonl(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]], **dialect: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(columns: Mapping[str, Any], **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), file, **options)
    return file.getvalue()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
"""Texts that UTF-8 can hold."""
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
JSON_ROWS = st.lists(st.dictionaries(TEXTS, JSON_VALUES, max_size=4), max_size=8)
