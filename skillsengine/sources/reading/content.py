"""What the first bytes of a file are, where they are not what its name says."""

from __future__ import annotations

import re

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.mends import iconv

FIRST_BYTES = 64
"""How many are looked at."""
_GZIP = b"\x1f\x8b"

# First bytes -> (what it is, how to mend it). Longer ones first where one begins another.
_MAGIC: dict[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("a zip archive (an Excel workbook is one too)", "Unpack it, or save the workbook's sheet as CSV."),
    b"PK\x05\x06": ("an empty zip archive", "Name a file with the ads in it."),
    _GZIP: ("gzip", "Let its name end in .gz, or unpack it."),
    b"PAR1": ("Parquet", "Let its name end in .parquet."),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "Unpack it: zstd -d {name}"),
    b"BZh": ("packed with bzip2", "Unpack it: bunzip2 {name}"),
    b"\xfd7zXZ\x00": ("packed with xz", "Unpack it: unxz {name}"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it."),
    b"ARROW1": ("an Arrow file", "Write it as Parquet."),
    b"SQLite format 3\x00": ("an SQLite database", "Export the table as CSV."),
    b"%PDF-": ("a PDF", "Write the ads as JSON lines or CSV."),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "Save the sheet as CSV."),
    b"version https://git-lfs": ("a pointer of Git LFS, not the data itself", "Fetch the data: git lfs pull"),
}
# Byte order marks; longer ones first.
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_PAGE = re.compile(rb"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE)
# A row, or a list of rows; no header of CSV looks like it.
_JSON = re.compile(rb'\s*(\[\s*)?\{\s*"|\s*\[\s*\r?\n')


def check_gzip(file: SourceFile, start: bytes) -> None:
    """Raises SourceError if a file whose name ends in .gz is not packed."""
    if start and not start.startswith(_GZIP):
        what, mend = _recognized(start, file.name) or ("not packed", "Take .gz off its name.")
        raise SourceError(_told(file, what, "gzip", mend))


def check_content(file: SourceFile, expected: str, start: bytes) -> None:
    """Raises SourceError if the first bytes (unpacked) are those of another format than `expected`, a format's name."""
    if start.startswith(_GZIP) and file.name.lower().endswith(".gz"):
        raise SourceError(f"{file.uri}: it is packed twice. Unpack it once.")
    found = _recognized(start, file.name)
    if expected in ("CSV", "TSV") and _JSON.match(start.removeprefix(b"\xef\xbb\xbf")):
        found = "JSON", "Let its name end in .jsonl (one object a line) or .json (one list)."
    if found and found[0] != expected:
        raise SourceError(_told(file, found[0], expected, found[1]))


def _recognized(start: bytes, name: str) -> tuple[str, str] | None:
    """(what it is, the mend); None for what may well be text."""
    for magic, found in _MAGIC.items():
        if start.startswith(magic):
            return found
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return f"{encoding} text", f"Convert it: {iconv(name, encoding)}"
    if _PAGE.match(start):
        return "a web page", "Fetch the data itself: an error or a login may have been saved in its place."
    if start and not any(start):
        return (
            "NUL bytes",
            "It was never written (a full disk, a crash, a copy that broke off). Copy or write it again.",
        )
    # Latin letters as UTF-16, without a mark: every other byte is 0.
    for zeros, order in ((start[1::2], "LE"), (start[::2], "BE")):
        if len(zeros) >= 2 and not any(zeros) and any(start):
            return "UTF-16 text without a byte order mark", f"Convert it: {iconv(name, f'UTF-16{order}')}"
    return None


def _told(file: SourceFile, what: str, expected: str, mend: str) -> str:
    return f"{file.uri}: it is {what}, though its name says {expected}. {mend.replace('{name}', file.name)}"
