"""A stream of bytes that can be looked into before it is read, and is read in large pieces."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 20


class Readable(Protocol):
    """The one method of a stream that readers of text need."""

    def read(self, size: int, /) -> bytes: ...


class _Raw(io.RawIOBase):
    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = self._stream.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)


def peekable(stream: Readable) -> io.BufferedReader:
    """`stream` with a buffer of 1 MB; `peek` shows as much of it as there is. Closing it leaves `stream` open."""
    return io.BufferedReader(_Raw(stream), BUFFER)
