"""How the matrix looks in a terminal: a row a partition, a column a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.drift import drifted, phrase
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.matrix import Cell, Matrix
from skillsengine.pipeline.plan import PlanError
from skillsengine.pipeline.rejected import describe
from skillsengine.reporting.figures.grid import METRICS
from skillsengine.scoring.wording import with_half
from skillsengine.sources.keys import STATIC_KEY

_DRIFTS_SHOWN = 6


def check_metric(metric: str) -> None:
    """Raises PlanError for a score that cells do not have."""
    if metric not in METRICS:
        raise PlanError(f"--metric {metric}: there is no such score; there are {', '.join(METRICS)}.")


def matrix_table(found: Matrix, metric: str) -> Table:
    """Partitions downwards, since there are many; versions and baselines across."""
    table = Table(title=f"{found.experiment}: {metric}", title_justify="left", box=None, pad_edge=False)
    table.add_column("scored on")
    for head in _heads(found):
        table.add_column(Text(head), justify="right")
    baselines = list(dict.fromkeys(name for name, _, _ in found.baselines))
    for name in baselines:
        table.add_column(Text(name), justify="right")
    table.add_column("gold", justify="right")
    for key, state in found.partitions.items():
        if state != "data":
            table.add_row(
                Text(key, style="dim"), *[Text("")] * (len(found.versions) + len(baselines)), Text(state, style="dim")
            )
            continue
        cells = [found.cells[row.number, key] for row in found.versions]
        shown = [*cells, *(found.baseline(name, key) for name in baselines)]
        gold = max((int(cell.metrics.get("gold_skills", 0)) for cell in shown if cell), default=0)
        table.add_row(key, *(_marked(cell, metric, found) if cell else Text("") for cell in shown), str(gold or ""))
    return table


def _marked(cell: Cell, metric: str, found: Matrix) -> Text:
    """A cell, with a mark where its partition has drifted."""
    mark = "~" if drifted(cell.metrics, found.drift) else ""
    return Text.assemble((mark, "yellow"), _shown(cell, metric))


def _heads(found: Matrix) -> list[str]:
    """Of each version: its name, what it was trained until, its aliases, each on a line of its own."""
    held: dict[int, list[str]] = {}
    for alias, number in sorted(found.aliases.items()):
        held.setdefault(number, []).append(alias)
    heads = []
    for row in found.versions:
        trained = [key for key in trained_partitions(row) if key != STATIC_KEY]
        lines = [row.name, *([f"until {trained[-1]}"] if trained else []), ", ".join(held.get(row.number, ()))]
        heads.append("\n".join(line for line in lines if line))
    return heads


def draw_matrix(found: Matrix, metric: str, path: Path) -> None:
    """The picture of it. Raises StageError where matplotlib is not installed, PlanError for a file that cannot be written."""
    columns = {row.number: place for place, row in enumerate(found.versions)}
    rows = {key: place for place, key in enumerate(found.partitions)}
    cells = {(rows[c.partition], columns[c.version]): (c.state, c.metrics) for c in found.cells.values()}
    labels = [key if state == "data" else f"{key} ({state})" for key, state in found.partitions.items()]
    title = f"{found.experiment}: {metric}"
    try:
        import_heavy("skillsengine.tracking.matrix_picture").draw(path, title, _heads(found), labels, cells, metric)
    except (OSError, ValueError) as error:
        raise PlanError(
            f"--png {path}: cannot be written: {error}. Name a file such as matrix.png in a folder that exists."
        ) from error


def _shown(cell: Cell, metric: str) -> Text:
    if cell.state == "trained on":
        return Text("trained on", style="dim")
    if cell.state == "missing":
        return Text("·" if cell.outdated is None else "outdated", style="yellow")
    if metric not in cell.metrics:
        return Text(cell.state, style="dim")
    return _score(cell.metrics, metric)


def _score(metrics: Mapping[str, Any], metric: str) -> Text:
    if metrics.get(metric) is None:
        return Text("")
    value, _, half = with_half(metrics, metric).partition(" ")
    return Text.assemble(value, (f" {half}" if half else "", "dim"))


def describe_partitions(found: Matrix, metric: str) -> Iterator[str]:
    """What stands below the table."""
    yield f"{len(found.cells)} cells: {_counted(found.cells.values())}"
    if found.baselines:
        shown = "" if len(found.versions) == 1 else "; lexicon: that of the newest version's training labels"
        yield f"{len(found.distinct_baselines())} cells of baselines: {_counted(found.distinct_baselines())}{shown}"
    if any(f"{metric}_low" in cell.metrics for cell in found.cells.values()):
        yield (
            "±: half of the 95% interval (bootstrap over ads). Two versions may differ although their intervals overlap: "
            "they are scored on the same ads."
        )
    yield from _drift(found)
    for key, counted in found.rows.items():
        if told := describe(counted):
            yield f"{key}: {told}"
    if found.missing():
        yield f"· is missing: skillsengine backfill {found.experiment} --dry-run"


def _drift(found: Matrix) -> Iterator[str]:
    """Of the newest partitions first, since they are what comes next."""
    told = [(cell, words) for cell in found.cells.values() if (words := phrase(cell.metrics, found.drift))]
    if not told:
        return
    yield "~: the partition's ads have drifted from those that the version was trained on (docs/drift.md):"
    told.sort(key=lambda pair: (pair[0].partition, pair[0].version), reverse=True)
    for cell, words in told[:_DRIFTS_SHOWN]:
        yield f"   {found.model}@{cell.version} on {cell.partition}: {words.removeprefix('drift: ')}"
    if len(told) > _DRIFTS_SHOWN:
        yield f"   and {len(told) - _DRIFTS_SHOWN} older ones: --json has all"


def _counted(cells: Iterable[Cell]) -> str:
    states = [cell.state for cell in cells]
    counts = {state: states.count(state) for state in ("scored", "unlabelled", "trained on", "missing")}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
