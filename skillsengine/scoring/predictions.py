"""What a scored subject said. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a subject said about one ad."""

    skills: list[str]
    """Each once, in the order they were said."""
    raw: str
    """As it was written; of the lexicon the skills as a JSON list."""
    parsed: bool
    """Whether `raw` was one whole list of skills."""


@dataclass(frozen=True)
class Answers:
    """What a subject said about all ads, in their order, and what was measured on the way."""

    answers: Sequence[Answer]
    measured: Mapping[str, Any] = field(default_factory=dict)
