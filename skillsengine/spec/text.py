"""A spec's file -> its text: size, encoding and characters are checked before YAML sees it."""

from __future__ import annotations

import codecs
import os
import re
import stat
import time
from pathlib import Path

from skillsengine.spec.errors import SpecError
from skillsengine.spec.source import Place, Source
from skillsengine.spec.stamp import Stamp

MAX_BYTES = 1_000_000

# YAML's line breaks, so that our line numbers and the parser's agree.
_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERGE = re.compile("^(?:<{7}|>{7})(?: |$)", re.MULTILINE)
_TRIES, _PAUSE = 3, 0.02
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class _NoFile(Exception):
    """What stands there cannot be read as a file; the text says why."""


def read_source(path: Path, shown: str) -> tuple[Source, str, Stamp]:
    """The lines of a file, named `shown` in errors, its text without the byte order mark, and which state of the file that is.

    Raises SpecError if it is no file, cannot be read, changes meanwhile, is over 1 MB, is no UTF-8, holds control
    characters or the marks of an unfinished merge.
    """
    whole = Place(Source(shown))
    try:
        data, stamp = _bytes(path)
    except FileNotFoundError:
        message = "a link to a file that is not there" if path.is_symlink() else "no such file"
        raise SpecError([whole.problem("", message)]) from None
    except OSError as error:
        raise SpecError([whole.problem("", f"cannot be read: {error.strerror}")]) from error
    except _NoFile as error:
        raise SpecError([whole.problem("", str(error))]) from None
    if len(data) > MAX_BYTES:
        hint = "is this data? It belongs into a file that `data.source` names"
        raise SpecError([whole.problem("", "larger than 1 MB, which no spec is", hint)])
    if data.startswith(_WIDE):
        raise SpecError([whole.problem("", "saved as UTF-16", "save the file as UTF-8")])
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        body = data.removeprefix(codecs.BOM_UTF8)
        before = body[: error.start].decode("utf-8")
        lines = split_lines(body.decode("utf-8", errors="replace"))
        rows = split_lines(before)
        place = Place(Source(shown, lines), len(rows) - 1, len(rows[-1]), 1)
        message = f"not UTF-8: the byte 0x{body[error.start]:02x} begins no character"
        raise SpecError([place.problem("", message, "save the file as UTF-8")]) from None
    source = Source(shown, split_lines(text))
    bad = _UNPRINTABLE.search(text)
    if bad:
        rows = split_lines(text[: bad.start()])
        place = Place(source, len(rows) - 1, len(rows[-1]), 1)
        raise SpecError([place.problem("", f"the control character U+{ord(bad[0]):04X}", "remove it")])
    merge = _MERGE.search(text)
    if merge:
        line = len(split_lines(text[: merge.start()])) - 1
        place = Place(source, line, 0, 7)
        hint = "finish the merge: choose between the two sides, and remove the three lines with the marks"
        raise SpecError([place.problem("", "the mark of an unfinished merge", hint)])
    return source, text, stamp


def _bytes(path: Path) -> tuple[bytes, Stamp]:
    """What stands in a file, at one moment: a file that is written while we read is read again.

    Raises OSError, and _NoFile for what is no ordinary file: opening a pipe would wait for somebody to write into it.
    """
    for _ in range(_TRIES):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(handle)
            if stat.S_ISDIR(before.st_mode):
                raise _NoFile("this is a folder, not a spec")
            if not stat.S_ISREG(before.st_mode):
                raise _NoFile("this is no ordinary file, but a pipe, a socket or a device")
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(MAX_BYTES + 1)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return data, Stamp.of(after)
        time.sleep(_PAUSE)
    raise _NoFile("changes while it is read: somebody is writing it. It is read again at the next look")


def printable(text: str) -> str:
    """A file's name as it can stand in a message and in a comment: a line break or half a character as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def split_lines(text: str) -> tuple[str, ...]:
    """The lines of `text`, without their breaks; at least one."""
    return tuple(_BREAKS.split(text))
