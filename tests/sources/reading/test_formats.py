"""Which reader a name gets, what is said about content that does not fit the name, and that nothing else is ever raised."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.sources.errors import SourceError
from skillsengine.sources.reading.formats import SUFFIXES, format_of
from tests.sources.reading.support import as_csv, as_jsonl, as_parquet, error_of, notes_of, read, values

ZIP = b"PK\x03\x04\x14\x00\x00\x00"


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "JSON lines"),
        ("a.b.NDJSON.gz", "JSON lines"),
        ("a.json", "JSON"),
        ("A.CSV.GZ", "CSV"),
        ("a.tsv", "TSV"),
        ("a.parquet", "Parquet"),
        ("a.parquet.gz", None),
        ("a.csv.zip", None),
        ("a.gz", None),
        ("csv", None),
        ("a.xlsx", None),
    ],
)
def test_the_name_tells_the_format(name: str, format: str | None) -> None:
    found = format_of(name)
    assert (found and found.name) == format


def test_all_endings_are_read() -> None:
    assert all(format_of(f"a{suffix}") for suffix in SUFFIXES)
    assert error_of("a.xlsx", b"") == f"/data/a.xlsx: not read: a source's file ends in one of {', '.join(SUFFIXES)}."


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        (
            "a.csv",
            ZIP,
            "it is a zip archive (an Excel workbook is one too), though its name says CSV. Unpack it, or save",
        ),
        (
            "a.jsonl",
            gzip.compress(b"{}", mtime=0),
            "it is gzip, though its name says JSON lines. Let its name end in .gz, or unpack it.",
        ),
        ("a.csv", as_parquet({"a": [1]}), "it is Parquet, though its name says CSV. Let its name end in .parquet."),
        ("a.parquet", ZIP, "it is a zip archive (an Excel workbook is one too), though its name says Parquet."),
        ("a.parquet", gzip.compress(b"", mtime=0), "it is gzip, though its name says Parquet."),
        ("a.csv.gz", ZIP, "it is a zip archive (an Excel workbook is one too), though its name says gzip."),
        ("a.csv.gz", b"a,b\n", "it is not packed, though its name says gzip. Take .gz off its name."),
        ("a.csv.gz", gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "it is packed twice. Unpack it once."),
        (
            "a.csv.gz",
            gzip.compress(ZIP, mtime=0),
            "it is a zip archive (an Excel workbook is one too), though its name says CSV.",
        ),
        ("a.csv", b"\x28\xb5\x2f\xfd...", "it is packed with zstd, though its name says CSV. Unpack it: zstd -d a.csv"),
        (
            "a.json",
            "[]".encode("utf-16"),
            "it is UTF-16 text, though its name says JSON. Convert it: iconv -f UTF-16 -t UTF-8",
        ),
        (
            "a.csv",
            "a,b".encode("utf-32"),
            "it is UTF-32 text, though its name says CSV. Convert it: iconv -f UTF-32 -t UTF-8",
        ),
        ("a.csv", "a,b".encode("utf-16-le"), "it is UTF-16 text without a byte order mark, though its name says CSV."),
        ("a.csv", "a,b".encode("utf-16-be"), "it is UTF-16 text without a byte order mark, though its name says CSV."),
    ],
)
def test_content_of_another_format_is_told(name: str, content: bytes, error: str) -> None:
    assert error_of(name, content).startswith(f"/data/{name}: {error}")


def test_an_empty_file_is_told() -> None:
    assert notes_of("a.csv", b"") == ["a.csv: empty (0 bytes)"]


TEXT_ENDINGS = [suffix for suffix in SUFFIXES if not suffix.endswith(("gz", "parquet"))]
SEEDS = [
    as_jsonl([{"a": "é"}, {"a": [1, None, "x"]}]),
    b'[{"a": "x"}, {"b": [{}]}]',
    as_csv(["a", "b"], [["x,\n", '"'], ["", "é"]]),
    as_parquet({"a": ["x", None], "b": [[1], []]}),
]


@given(st.sampled_from(SUFFIXES), st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_else(name: str, content: bytes, packed: bool) -> None:
    _reads_or_tells(f"a{name}", gzip.compress(content) if packed else content)


@given(
    st.sampled_from(SUFFIXES),
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), max_size=4),
    st.booleans(),
)
def test_damaged_files_raise_nothing_else(
    name: str, content: bytes, damages: list[tuple[float, int, bytes]], packed: bool
) -> None:
    content = gzip.compress(content) if packed else content
    for place, dropped, put in damages:
        at = int(place * len(content))
        content = content[:at] + put + content[at + dropped :]
    _reads_or_tells(f"a{name}", content)


def _reads_or_tells(name: str, content: bytes) -> None:
    try:
        found = read(name, content)
    except SourceError as error:
        assert str(error).startswith(f"/data/{name}: ")
    else:
        assert all((row.values is None) == (row.reason is not None) for row in found)
        assert all(row.excerpt.encode() is not None and row.place > 0 for row in found)


@given(st.sampled_from(TEXT_ENDINGS), st.text(max_size=60))
def test_what_is_read_is_never_half_read(ending: str, text: str) -> None:
    """A file that is read at all is read the same way when it is packed."""
    content = text.encode("utf-8", "replace")
    try:
        expected = values(f"a{ending}", content)
    except SourceError:
        return
    packed = gzip.compress(content)
    if not content.startswith(b"\x1f\x8b"):
        assert values(f"a{ending}.gz", packed) == expected


def test_reading_texts_imports_no_heavy_library() -> None:
    program = (
        "import io, sys\n"
        "from skillsengine.sources.files import SourceFile\n"
        "from skillsengine.sources.reading import index\n"
        "list(index.read_rows(SourceFile('/a.csv', ''), io.BytesIO(b'a,b\\n1,2\\n')))\n"
        "print([name for name in ('pyarrow', 'pandas', 'numpy', 'datasets', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
