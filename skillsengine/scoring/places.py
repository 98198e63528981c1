"""Where in an ad a skill stands. Standard library only: pages of the control plane mark skills, too."""

from __future__ import annotations

import re
from collections.abc import Iterable

Span = tuple[int, int]
"""(first character, character behind the last) of an occurrence."""


def occurrences(text: str, skills: Iterable[str]) -> list[Span]:
    """Where the skills stand in the text as they are written, without overlaps, in the text's order: whole words, from the
    left, the longest of those that begin at a place."""
    # Of alternatives a regular expression takes the first that fits: the longest.
    wanted = sorted({skill for skill in skills if skill.strip()}, key=lambda skill: (-len(skill), skill))
    if not wanted:
        return []
    return [match.span() for match in re.finditer("|".join(map(_whole, wanted)), text)]


def _whole(skill: str) -> str:
    """A pattern for the skill that does not begin or end within a word."""
    before = r"(?<!\w)" if re.match(r"\w", skill) else ""
    after = r"(?!\w)" if re.search(r"\w$", skill) else ""
    return f"{before}{re.escape(skill)}{after}"
