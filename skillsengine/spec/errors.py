"""What is wrong with a spec: file, line and column, the line itself with a caret, what is allowed and the mend."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.masking import mask_hex, mask_shapes

MAX_SHOWN = 50
_MAX_WIDTH = 68
"""Characters of an excerpt: with the number of its line it fits a terminal of 80 columns and Airflow's dialog of import errors.
Where a line is wrapped, the caret below it points anywhere."""
_MAX_PATH = 200
_MAX_MESSAGE = 1000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `str()` is the text for people; secrets in it are masked."""

    file: str
    """Path of the file as people know it (`experiments/job-skills.yaml`), or the override (`--set lora.r=x`)."""
    line: int | None
    """From 1; None where the file as a whole, or an override, is at fault."""
    column: int | None
    """From 1, in characters."""
    path: str
    """Dotted path of the field (`train.learning_rate`); empty for a fault of the text itself."""
    message: str
    """What is wrong."""
    hint: str | None = None
    """What is allowed and how to mend it."""
    excerpt: str | None = None
    """The line, masked; None shows none."""
    length: int = 1
    """Characters under which carets stand."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        path, message = _cut(self.path, _MAX_PATH), _cut(self.message, _MAX_MESSAGE)
        rows = [mask_hex(": ".join(part for part in (place, path, message) if part))]
        if self.excerpt is not None and self.line is not None and self.column is not None:
            text, carets = _underline(self.excerpt, self.column - 1, self.length)
            number = str(self.line)
            rows += [f"   {number} | {text}".rstrip(), f"   {' ' * len(number)} | {carets}"]
        if self.hint:
            rows += [f"   {row}".rstrip() for row in self.hint.splitlines()]
        return mask_shapes("\n".join(rows))


class SpecError(Exception):
    """A spec cannot be used. It carries every problem that one pass found, in the order of the files and lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return _in_part([str(problem) for problem in self.problems[:MAX_SHOWN]], len(self.problems))


def told_together(errors: Sequence[SpecError]) -> list[str]:
    """The texts of several specs' errors. A problem of what they share, such as an overlay, is told once, before all others
    and with the number of the specs that it stops."""
    times = Counter(problem for error in errors for problem in set(error.problems))
    shared = [(problem, count) for problem, count in times.items() if count > 1]
    texts = []
    if shared:
        rows = [f"{problem}\n   this stops {count} specs" for problem, count in shared[:MAX_SHOWN]]
        texts.append(_in_part(rows, len(shared)))
    own = [[problem for problem in error.problems if times[problem] == 1] for error in errors]
    return texts + [str(SpecError(problems)) for problems in own if problems]


def _in_part(rows: list[str], count: int) -> str:
    """The first problems, and how many there are beside them."""
    more = [f"... and {count - len(rows)} more problems"] if count > len(rows) else []
    return "\n\n".join([*rows, *more])


def _cut(text: str, longest: int) -> str:
    """`text` without what stands for nothing on a screen, cut to `longest` characters once it is masked."""
    text = mask_shapes("".join(c if c.isprintable() or c == "\n" else " " for c in text[: 10 * longest]))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _underline(line: str, start: int, length: int) -> tuple[str, str]:
    """(the line, the carets under it), both cut to a readable width around the place."""
    line = "".join(c if c.isprintable() else " " for c in line)
    start = min(start, len(line))
    length = max(1, min(length, len(line) - start))
    left = 0 if start + length <= _MAX_WIDTH else max(0, min(start - _MAX_WIDTH // 2, len(line) - _MAX_WIDTH))
    shown = line[left : left + _MAX_WIDTH]
    length = max(1, min(length, len(shown) - (start - left)))
    front, back = "…" if left else "", "…" if left + _MAX_WIDTH < len(line) else ""
    pad = len(front) + _width(line[left:start])
    return front + shown + back, " " * pad + "^" * max(1, _width(line[start : start + length]))


def _width(text: str) -> int:
    """Columns that `text` takes in a terminal: wide characters (CJK) two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) for c in text)
