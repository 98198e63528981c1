"""Which errors of a subject are made most often, from the lines of `errors.jsonl`. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.scoring.matching import normalize_skill

KINDS = ("missed", "invented", "boundary")


@dataclass(frozen=True)
class Frequent:
    """An error that was made on one ad or several."""

    skills: tuple[str, ...]
    """The missed or the invented skill, of a boundary error (missed, invented); in the spelling of the first ad."""
    ads: list[str]
    """Their ids."""


def frequent(lines: Iterable[Mapping[str, Any]], kind: str) -> list[Frequent]:
    """The errors of a kind in the lines of `errors.jsonl`, those of the most ads first."""
    found: dict[tuple[str, ...], Frequent] = {}
    for line in lines:
        for error in line[kind]:
            skills = (error,) if isinstance(error, str) else tuple(error)
            found.setdefault(tuple(map(normalize_skill, skills)), Frequent(skills, [])).ads.append(line["id"])
    return [found[name] for name in sorted(found, key=lambda name: (-len(found[name].ads), name))]
