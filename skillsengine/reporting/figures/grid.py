"""The matrix as a heat map: partitions downwards, versions and baselines across, a shade for each score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.drift import drifted
from skillsengine.pipeline.matrix import Cell, Matrix
from skillsengine.pipeline.rejected import describe
from skillsengine.reporting.figures.plain import Table
from skillsengine.reporting.figures.scores import Score, score
from skillsengine.scoring.wording import with_interval
from skillsengine.sources.keys import STATIC_KEY

METRICS = (
    "f1",
    "precision",
    "recall",
    "macro_f1",
    "fuzzy_f1",
    "overlap_f1",
    "parse_rate",
    "verbatim_rate",
    "skills_per_ad",
)
"""What a cell may be shown by."""
SHADES = 8
"""Steps of the colour scale: 0 is the lowest score on it."""


@dataclass(frozen=True)
class Square:
    """One version, or a baseline, on one partition."""

    column: str
    partition: str
    state: str
    """`scored`, `unlabelled`, `trained on` or `missing`; empty where a baseline has no cell."""
    score: Score | None
    shade: int | None
    """0 to `SHADES` - 1, of a score."""
    ads: int | None
    gold_skills: int | None
    drift: tuple[str, ...]
    """What of the partition has drifted, in words."""
    outdated: Score | None
    """Of a missing cell: what stood here before the data or the way of scoring changed."""
    text: str
    """What stands in the square."""
    hint: str
    """The same in a sentence, with the interval and the counts."""


@dataclass(frozen=True)
class Column:
    """A version, or a baseline."""

    name: str
    number: int | None
    """None of a baseline."""
    trained_until: str | None
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A partition."""

    partition: str
    presence: str
    """`data`, `no data`, `unfinished` or `unknown`."""
    gold_skills: int
    rejected: str
    """Rows of it that could not be used, in words; empty where none was."""
    squares: tuple[Square, ...]
    """One a column; none where there is no data."""


@dataclass(frozen=True)
class Grid:
    """The heat map."""

    experiment: str
    model: str
    metric: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    low: float
    """The scale's lower end: the shade 0 begins here."""
    high: float
    counts: Mapping[str, int]
    """State -> cells of versions."""

    def table(self) -> Table:
        return Table(
            ("partition", "column", "state", self.metric, "low", "high", "ads", "gold skills", "drift"),
            tuple(
                (
                    square.partition,
                    square.column,
                    square.state,
                    *((s.value, s.low, s.high) if (s := square.score) else (None, None, None)),
                    square.ads,
                    square.gold_skills,
                    "; ".join(square.drift),
                )
                for line in self.lines
                for square in line.squares
                if square.state
            ),
        )


def grid(found: Matrix, metric: str = "f1") -> Grid:
    """Of a matrix of `pipeline.matrix` or `pipeline.known_matrix`."""
    names = list(dict.fromkeys(name for name, _, _ in found.baselines))
    values = [value for cell in _all(found) if (value := cell.metrics.get(metric)) is not None]
    low, high = scale(values)
    held: dict[int, list[str]] = {}
    for alias, number in sorted(found.aliases.items()):
        held.setdefault(number, []).append(alias)
    columns = [
        Column(row.name, row.number, _until(trained_partitions(row)), tuple(held.get(row.number, ())))
        for row in found.versions
    ] + [Column(name, None, None, ()) for name in names]
    lines = []
    for key, presence in found.partitions.items():
        squares: tuple[Square, ...] = ()
        if presence == "data":
            own = [(row.name, found.cells[row.number, key]) for row in found.versions]
            beside = [(name, found.baseline(name, key)) for name in names]
            squares = tuple(_square(name, key, cell, metric, found, low, high) for name, cell in [*own, *beside])
        gold = max((square.gold_skills or 0 for square in squares), default=0)
        rejected = describe(found.rows[key]) if key in found.rows else ""
        lines.append(Line(key, presence, gold, rejected, squares))
    states = [cell.state for cell in found.cells.values()]
    counts: dict[str, int] = {state: states.count(state) for state in states}
    return Grid(found.experiment, found.model, metric, tuple(columns), tuple(lines), low, high, counts)


def scale(values: Iterable[float]) -> tuple[float, float]:
    """Ends of the colour scale: the tenths around the scores, at least 0.4 apart, so that chance paints no stripes; whole
    numbers around counts above 1."""
    known = list(values)
    if not known:
        return 0.0, 1.0
    if max(known) > 1:
        return float(math.floor(min(known))), float(math.ceil(max(known)) or 1)
    low, high = math.floor(min(known) * 10) / 10, math.ceil(max(known) * 10) / 10
    if high - low < 0.4:
        low = max(0.0, high - 0.4)
    return round(low, 1), round(max(high, low + 0.4), 1)


def shade(value: float, low: float, high: float) -> int:
    """Which of `SHADES` steps from `low` to `high` a score is on."""
    return min(SHADES - 1, max(0, int((value - low) / (high - low) * SHADES)))


def _all(found: Matrix) -> list[Cell]:
    return [*found.cells.values(), *found.distinct_baselines()]


def _until(trained: list[str]) -> str | None:
    dated = [key for key in trained if key != STATIC_KEY]
    return dated[-1] if dated else None


def _square(name: str, key: str, cell: Cell | None, metric: str, found: Matrix, low: float, high: float) -> Square:
    if cell is None:
        return Square(name, key, "", None, None, None, None, (), None, "", "")
    told = score(cell.metrics, metric)
    gold, ads = cell.metrics.get("gold_skills"), cell.metrics.get("rows")
    moved = tuple(f"{each.text} ({each.limit})" for each in drifted(cell.metrics, found.drift))
    outdated = score(cell.outdated, metric) if cell.outdated is not None else None
    hint = f"{name} on {key}: {_hint(cell, metric, ads, gold)}"
    if moved:
        hint += f"; drift: {', '.join(moved)}"
    return Square(
        column=name,
        partition=key,
        state=cell.state,
        score=told,
        shade=None if told is None else shade(told.value, low, high),
        ads=ads,
        gold_skills=gold,
        drift=moved,
        outdated=outdated,
        text=f"{told.value:.3f}".removeprefix("0")
        if told and told.value < 1
        else f"{told.value:.2f}"
        if told
        else _word(cell),
        hint=hint,
    )


def _word(cell: Cell) -> str:
    if cell.state == "missing":
        return "·" if cell.outdated is None else "outdated"
    return cell.state


def _hint(cell: Cell, metric: str, ads: Any, gold: Any) -> str:
    if cell.state == "missing":
        before = with_interval(cell.outdated, metric) if cell.outdated is not None else ""
        return f"missing; {metric} was {before} before its data or the way of scoring changed" if before else "missing"
    if cell.state == "trained on":
        return "not scored, since it was trained on these ads"
    counted = f"{ads} ads" + (f" with {gold} gold skills" if gold is not None else " without labels")
    if metric not in cell.metrics:
        return counted
    return f"{metric} {with_interval(cell.metrics, metric)}, on {counted}"
