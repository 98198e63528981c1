"""The lines of a stream of bytes. A line without end is passed over, and never loaded."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from skillsengine.sources.reading.rows import EXCERPT, MAX_ROW

BOM = b"\xef\xbb\xbf"
_SKIPPED_AT_ONCE = 1 << 20


class LongLine(bytes):
    """The first bytes of a line of more than `MAX_ROW` bytes; the rest was passed over."""


def lines(stream: BufferedReader) -> Iterator[bytes]:
    """Each line with its line break, the first without a byte order mark; a `LongLine` in place of one that is too long."""
    first = True
    while line := stream.readline(MAX_ROW + 1):
        if first:
            line, first = line.removeprefix(BOM), False
        if len(line) > MAX_ROW:
            start = LongLine(line[: 4 * EXCERPT])
            while line and not line.endswith(b"\n"):
                line = stream.readline(_SKIPPED_AT_ONCE)
            line = start
        yield line
