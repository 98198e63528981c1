"""Answers as JSON lines in a file that grows: what is finished stays, whatever ends the run, and another run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from skillsengine.serving.texts import Text, Unread
from skillsengine.sources.errors import SourceError

if TYPE_CHECKING:
    from skillsengine.serving.extract import Extraction

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Last:
    """The last whole line of a file of answers."""

    file: str
    line: int | None
    version: str


def answer_line(version: str, text: Text, found: Extraction) -> str:
    """One line of JSON, with its line break."""
    place = {} if text.line is None else {"line": text.line}
    told = {"id": text.id, "file": text.file, **place, "version": version}
    return json.dumps({**told, "skills": found.skills, "parsed": found.parsed}, ensure_ascii=False) + "\n"


def open_answers(path: Path, *, resume: bool, version: str) -> tuple[IO[str], Last | None]:
    """`path`, open at its end, and its last answer. A last line that was cut off is taken away.

    Raises SourceError: it holds something and `resume` is not asked for, or no answers, or another version's.
    """
    if path.is_file() and path.stat().st_size:
        if not resume:
            raise SourceError(
                f"{path} is there already. Add --resume to go on after its last answer, or name another file."
            )
        last = _last(path)
        if last is not None and last.version != version:
            raise SourceError(
                f"{path}: its answers are those of {last.version}, and {version} is asked now. Name {last.version} to go on, "
                "or another file."
            )
    else:
        last = None
    try:
        return path.open("a", encoding="utf-8"), last
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from error


def after(texts: Iterator[Text | Unread], last: Last | None) -> Iterator[Text | Unread]:
    """What comes behind the text that was answered last. Raises SourceError if that does not come."""
    if last is None:
        yield from texts
        return
    for item in texts:
        if isinstance(item, Text) and (item.file, item.line) == (last.file, last.line):
            yield from texts
            return
    where = last.file if last.line is None else f"{last.file}:{last.line}"
    raise SourceError(
        f"--resume: the last answer is that of {where}, which is not among what is read now. Name the same files in the same "
        "order, from the same folder, or write into another file."
    )


def _last(path: Path) -> Last | None:
    """The last whole line; what stands behind it is cut off. None of a file without one. Raises SourceError."""
    try:
        with path.open("r+b") as file:
            end = file.seek(0, 2)
            tail, start = b"", end
            while start and tail.count(b"\n") < 2:
                step = min(_BLOCK, start)
                start = file.seek(start - step)
                tail = file.read(step) + tail
            whole, newline, cut = tail.rpartition(b"\n")
            if cut and not cut.startswith(b"{"):
                raise ValueError("its last line is no answer")
            line = whole.rpartition(b"\n")[2]
            told = json.loads(line) if newline else None
            last = None if told is None else Last(told["file"], told.get("line"), told["version"])
            file.truncate(end - len(cut))
            return last
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}). Mend its permissions, or name another file."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path}: its last line is no answer of `skillsengine extract`, so --resume cannot go on there. Name another file."
        ) from error
