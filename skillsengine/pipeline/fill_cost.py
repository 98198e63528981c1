"""What filling missing cells of the matrix will take, by what others of their kind took."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from skillsengine.pipeline.matrix import Cell

SUBJECTS = {"adapter": "one of a version", "base": "the base", "lexicon": "the lexicon"}
"""A cell in words, by its subject."""


@dataclass(frozen=True)
class Pace:
    """How long a cell takes."""

    seconds: float
    """The median."""
    cells: int
    """Of how many."""


@dataclass(frozen=True)
class FillCost:
    """Of a list of missing cells."""

    paces: Mapping[str, Pace]
    """By subject, of those that are missing; in their order."""
    unknown: tuple[str, ...]
    """Subjects that are missing and of which none was ever scored."""
    seconds: float | None
    """Of all together; None where some are unknown."""


def fill_cost(known: Iterable[Cell], missing: Collection[Cell]) -> FillCost:
    """`known` are all cells of the matrix; those that were scored, before their data changed too, say how long one takes."""
    took: dict[str, list[float]] = {}
    for cell in known:
        if "seconds" in (metrics := cell.metrics or cell.outdated or {}):
            took.setdefault(cell.subject, []).append(float(metrics["seconds"]))
    wanted = dict.fromkeys(cell.subject for cell in missing)
    paces = {name: Pace(statistics.median(took[name]), len(took[name])) for name in wanted if name in took}
    unknown = tuple(sorted(name for name in wanted if name not in took))
    return FillCost(paces, unknown, None if unknown else sum(paces[cell.subject].seconds for cell in missing))
