"""Two versions' scores on one partition, side by side, and which of their differences is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.reporting.figures.difference import Difference, measures
from skillsengine.reporting.figures.plain import FigureMissing, Table
from skillsengine.reporting.figures.scores import Score, scores_of
from skillsengine.scoring.comparison import METRICS, ComparisonError, compare
from skillsengine.storage.catalog import CellRow

MOST_ADS = 20_000
"""Beyond it nobody is told whether a difference is one: with so many ads, drawing them anew takes a page's reader too long."""


@dataclass(frozen=True)
class Row:
    """One measure of both."""

    name: str
    """As it stands in the metrics: `fuzzy_f1`."""
    label: str
    a: Score | None
    b: Score | None
    share: bool
    """Whether it lies between 0 and 1; otherwise it is a count an ad."""


@dataclass(frozen=True)
class Block:
    """Measures that belong together."""

    title: str
    note: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class SideBySide:
    """Both versions, each on the ads that it was scored on there."""

    a: str
    b: str
    partition: str
    ads: tuple[int, int]
    labelled_ads: tuple[int, int]
    gold_skills: tuple[int | None, int | None]
    blocks: tuple[Block, ...]

    def table(self, differences: Mapping[str, Difference]) -> Table:
        """Every measure; the difference, b minus a, with its interval where somebody knows whether it is one."""
        rows = []
        for block in self.blocks:
            for row in block.rows:
                d = differences.get(row.name)
                told = (d.value, d.low, d.high, d.p_value, "yes" if d.is_one else "no") if d else (None,) * 5
                rows.append((block.title, row.label, *_ends(row.a), *_ends(row.b), *told))
        of_both = tuple(f"{name}{end}" for name in (self.a, self.b) for end in ("", " low", " high"))
        last = (f"{self.b} - {self.a}", "low", "high", "p value", "is a difference")
        return Table(("block", "measure", *of_both, *last), tuple(rows))


def side_by_side(a: str, b: str, cell_a: CellRow, cell_b: CellRow) -> SideBySide:
    """Of two cells of one partition: the catalog's own numbers."""
    told = [cell_a.metrics, cell_b.metrics]
    scored = [scores_of({"adapter": metrics}) for metrics in told]
    found: dict[str, dict[str, list[Any]]] = {}
    titles = {}
    for side, scores in enumerate(scored):
        for block in scores.blocks:
            titles[block.title] = block.note
            for measure in block.measures:
                rows = found.setdefault(block.title, {})
                row = rows.setdefault(measure.name, [measure.label, None, None, measure.share])
                row[1 + side] = measure.scores["adapter"]
    blocks = tuple(
        Block(title, titles[title], tuple(Row(name, *row) for name, row in rows.items()))
        for title, rows in found.items()
    )
    return SideBySide(
        a=a,
        b=b,
        partition=cell_a.partition,
        ads=(int(told[0].get("rows", 0)), int(told[1].get("rows", 0))),
        labelled_ads=(int(told[0].get("labelled_rows", 0)), int(told[1].get("labelled_rows", 0))),
        gold_skills=(told[0].get("gold_skills"), told[1].get("gold_skills")),
        blocks=blocks,
    )


def differences(
    a: str, b: str, rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]
) -> dict[str, Difference]:
    """Score -> b minus a, on the labelled ads that both were scored on.

    Raises FigureMissing that says why there is none: no ad with labels is in both, they carry other labels, or there are more
    than `MOST_ADS`.
    """
    try:
        found = compare(rows_b, rows_a)
    except ComparisonError as error:
        raise FigureMissing(str(error)) from error
    if not found.rows:
        raise FigureMissing("there is no ad with labels that both were scored on")
    if found.rows > MOST_ADS:
        raise FigureMissing(
            f"both were scored on {found.rows:,} labelled ads, and whether scores differ is worked out here of at most "
            f"{MOST_ADS:,}. The gate does so of any number when it judges a version"
        )
    return measures(found, b, a, METRICS)


def _ends(score: Score | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if score is None else (score.value, score.low, score.high)
