"""gzip, unpacked while it is read, with bounds: a file that grows without end is a bomb, not data."""

from __future__ import annotations

import gzip
import zlib
from typing import IO, cast

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.peeking import Readable

MAX_RATIO = 200
"""Unpacked bytes a packed byte, above `FREE`. Texts reach 3 to 10, the same short ad over and over about 100; deflate
cannot pass 1032."""
FREE = 256 << 20
"""Unpacked bytes below which the ratio does not matter: 256 MiB."""
MAX_BYTES = 256 << 30
"""Unpacked bytes of a file: 256 GiB, about a hundred million ads."""


class Unpacked:
    """The unpacked bytes of a gzip file; several members one after the other are one file.

    Raises SourceError while reading: a file that is cut off or damaged, or that grows beyond the bounds.
    """

    def __init__(
        self,
        file: SourceFile,
        stream: Readable,
        *,
        max_ratio: int = MAX_RATIO,
        free: int = FREE,
        limit: int = MAX_BYTES,
    ) -> None:
        self._file, self._packed = file, _Counted(stream)
        self._gzip = gzip.GzipFile(fileobj=cast(IO[bytes], self._packed), mode="rb")  # it calls read() alone
        self._max_ratio, self._free, self._limit = max_ratio, free, limit
        self._grown = 0

    def read(self, size: int, /) -> bytes:
        try:
            chunk = self._gzip.read(size)
        except EOFError as error:
            raise SourceError(
                f"{self._file.uri}: the gzip file is cut off after {megabytes(self._packed.count)} "
                f"({megabytes(self._grown)} unpacked). Copy or write it again, whole."
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(
                f"{self._file.uri}: the gzip file is damaged after {megabytes(self._packed.count)} "
                f"({megabytes(self._grown)} unpacked; `gzip -t` says more). Copy or write it again."
            ) from error
        self._grown += len(chunk)
        if self._grown > self._limit or (
            self._grown > self._free and self._grown > self._max_ratio * self._packed.count
        ):
            raise SourceError(
                f"{self._file.uri}: {megabytes(self._packed.count)} of it grew to over {megabytes(self._grown)}, and there "
                f"is more: a gzip bomb, or one ad repeated without end. At most {self._max_ratio} times the packed size "
                f"and {megabytes(self._limit)} are read. If these are your ads, unpack the file and name that one."
            )
        return chunk


class _Counted:
    """Counts the bytes that are read."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self.count = stream, 0

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self.count += len(chunk)
        return chunk


def megabytes(count: int) -> str:
    """For people: `900 bytes`, `12.3 MB`."""
    if count < 100_000:
        return f"{count} bytes"
    return f"{count / 1e6:.1f} MB" if count < 1e10 else f"{count / 1e9:.0f} GB"
