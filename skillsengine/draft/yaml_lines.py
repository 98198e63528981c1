"""Commented YAML, line by line: values quoted where they must be, comments in a column where they fit, else above."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.spec.scalars import resolve

WIDTH = 120
_COLUMN = 34
"""Where comments begin, but in a section with a longer line."""
_PLAIN = re.compile(r"[^\W\d_][\w./{}*-]*(?: [\w./()*-]+)*|[\w][\w./*-]*")
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Line:
    """`key: value   # comment`; with `off` the whole line is a comment, to be switched on."""

    key: str
    value: str
    """As YAML writes it."""
    comment: str = ""
    off: bool = False


def scalar(text: str) -> str:
    """A text as YAML and our interpolation read it back."""
    escaped = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", text)
    if escaped == text and _PLAIN.fullmatch(text) and resolve(text) == text:
        return text
    quoted = json.dumps(escaped, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def comment(text: str) -> str:
    """A text that may hold anything, such as a column's name, on one line of printable characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def section(name: str, lines: Sequence[Line]) -> list[str]:
    """The lines of a section, further in; top-level lines where `name` is empty."""
    indent = "  " if name else ""
    bodies = [f"{indent}{'# ' if line.off else ''}{line.key}: {line.value}" for line in lines]
    column = max([_COLUMN, *(len(body) + 3 for body in bodies if len(body) < 56)])
    out = [f"{name}:"] if name else []
    for line, body in zip(lines, bodies, strict=True):
        told = comment(line.comment)
        beside = f"{body:<{column - 1}} # {told}"
        if not told:
            out.append(body)
        elif len(beside) <= WIDTH and len(body) < column:
            out.append(beside)
        else:
            out += [*prose(told, indent), body]
    return out


def prose(text: str, indent: str = "") -> list[str]:
    """A text as comment lines."""
    return textwrap.wrap(
        comment(text), WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_long_words=False
    )
