"""PyYAML's syntax errors in words that say how to mend them. Both of its parsers (C and Python) are understood."""

from __future__ import annotations

import re
from typing import Any

import yaml

from skillsengine.spec.errors import Problem
from skillsengine.spec.scalars import shorten
from skillsengine.spec.source import Place, Source

_PREFIX = "not valid YAML: "
# (what PyYAML's context and problem say, our words, the mend, whether the place is where the trouble began)
_TABLE: tuple[tuple[str, str, str | None, bool], ...] = (
    (
        r"scanning an alias|undefined alias",
        "`*` begins an alias",
        'a text that begins with `*` needs quotes, a cron for instance: schedule: "*/5 * * * *"',
        True,
    ),
    (r"scanning an anchor", "`&` begins an anchor", "a text that begins with `&` needs quotes", True),
    (
        r"mapping values are not allowed",
        "a `:` where no key can end",
        "a text that holds `: ` needs quotes; a key beneath another one stands on its own line, further in",
        False,
    ),
    (
        r"quoted scalar.*unexpected end of stream",
        "the quote opened here is never closed",
        "end the text with the same quote; inside single quotes, `'` is written twice",
        True,
    ),
    (r"unknown escape", "an unknown escape after `\\`", "in double quotes a backslash is written `\\\\`", False),
    (
        r"parsing a flow sequence",
        "the list opened here with `[` is not closed, or a comma is missing in it",
        "close it with `]`; a text with `[`, `{` or `,` in it needs quotes",
        True,
    ),
    (
        r"parsing a flow mapping",
        "the mapping opened here with `{` is not closed, or a comma is missing in it",
        "close it with `}`; a text with `[`, `{` or `,` in it needs quotes",
        True,
    ),
    (
        r"expected node content",
        "a value is missing here, or begins with a sign",
        "a text that begins with a sign such as `?` needs quotes",
        False,
    ),
    (r"could not find expected ':'", "a key without `:`", "write `key: value`", True),
    (
        r"undefined tag handle|scanning a tag|parsing a tag",
        "tags are not part of a spec",
        "a text that begins with `!` needs quotes",
        True,
    ),
    (
        r"parsing a block|block end|document start",
        "this does not fit the lines above it",
        "check the indentation of this line and the quotes before it; a text that begins with `{`, `[` or a quote "
        "needs quotes around all of it",
        False,
    ),
)


def explain(error: yaml.YAMLError, source: Source) -> Problem:
    """The problem that a parser's error stands for, at the place where a person would mend it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Place(source).problem("", _PREFIX + shorten(str(error)), excerpt=False)
    place = _at(mark, source)
    line = source.lines[place.line] if place.line < len(source.lines) else ""
    tab = re.match(r" *\t", line)
    if tab and place.column <= len(line) - len(line.lstrip()):
        at = Place(source, place.line, tab.end() - 1, 1)
        return at.problem("", _PREFIX + "a tab in the indentation", "YAML is indented with spaces only")
    what = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    if "cannot start any token" in what:
        char = line[place.column : place.column + 1]
        name = "a tab" if char == "\t" else f"`{char}`"
        return place.problem("", f"{_PREFIX}a value cannot begin with {name}", "put the value in quotes")
    for pattern, message, hint, at_start in _TABLE:
        if re.search(pattern, what):
            start = getattr(error, "context_mark", None)
            at = _at(start, source) if at_start and start is not None else place
            return at.problem("", _PREFIX + message, hint)
    return place.problem("", _PREFIX + shorten(what))


def _at(mark: Any, source: Source) -> Place:
    """A mark as a place inside the text: the parsers point behind the last line when the text ends too early."""
    line = min(mark.line, max(0, len(source.lines) - 1))
    width = len(source.lines[line]) if source.lines else 0
    return Place(source, line, mark.column if line == mark.line else width, 1)
