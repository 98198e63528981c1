"""A spec's file -> its text: size, encoding and characters are checked before YAML sees it."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from skillsengine.spec.errors import SpecError
from skillsengine.spec.source import Place, Source

MAX_BYTES = 1_000_000

# YAML's line breaks, so that our line numbers and the parser's agree.
_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_source(path: Path, shown: str) -> tuple[Source, str]:
    """The lines of a file, named `shown` in errors, and its text without the byte order mark.

    Raises SpecError if it is no file, cannot be read, is over 1 MB, is no UTF-8 or holds control characters.
    """
    whole = Place(Source(shown))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError([whole.problem("", "no such file")]) from None
    except IsADirectoryError:
        raise SpecError([whole.problem("", "this is a folder, not a spec")]) from None
    except OSError as error:
        raise SpecError([whole.problem("", f"cannot be read: {error.strerror}")]) from error
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
    return source, text


def split_lines(text: str) -> tuple[str, ...]:
    """The lines of `text`, without their breaks; at least one."""
    return tuple(_BREAKS.split(text))
