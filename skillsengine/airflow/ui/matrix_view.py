"""What the page *The matrix* shows: time from left to right; versions from the newest down, then baselines and drift."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.fills import FillRun
from skillsengine.airflow.ui.matrix_known import Known, usual_first
from skillsengine.pipeline.bounds import MOST_CELLS
from skillsengine.pipeline.fill_cost import SUBJECTS, FillCost
from skillsengine.pipeline.filling import Pair, runs_for
from skillsengine.pipeline.matrix import Cell
from skillsengine.reporting.charts import Files
from skillsengine.reporting.figures.drift import DriftStrip, drift_strip
from skillsengine.reporting.figures.grid import METRICS, Grid, Square, grid
from skillsengine.reporting.figures.plain import Table
from skillsengine.reporting.render import took

_STEP = re.compile(r"evaluate\[(?P<model>.+)@(?P<number>[0-9]{1,9}) on (?P<key>[^\]]+)\]")
_MOST_CHARS = 300
_ABSENT = {
    "no data": ("hole", "–", "there was no data for it when the newest run looked"),
    "unfinished": ("later", "»", "it is not over yet"),
    "unknown": ("later", "»", "no run has looked for its data yet"),
}
_NAMES = {"f1": "F1", "macro_f1": "macro F1", "fuzzy_f1": "fuzzy F1", "overlap_f1": "overlap F1"}


@dataclass(frozen=True)
class Spot:
    """One square as it is drawn."""

    css: str
    text: str
    hint: str
    """In a sentence; empty where there is nothing to say."""
    link: bool = False
    """Whether the page Errors has something about it."""
    drifted: bool = False


@dataclass(frozen=True)
class Row:
    """A version, or a baseline."""

    name: str
    number: int | None
    """None of a baseline."""
    until: str | None
    aliases: tuple[str, ...]
    lacks: int
    """How many of its cells can be filled."""
    spots: Sequence[Spot]


@dataclass(frozen=True)
class Column:
    """A partition."""

    key: str
    short: str
    """Without its year, which stands above it."""
    presence: str


@dataclass(frozen=True)
class AtWork:
    """A run that fills cells, or the newest one."""

    run: FillRun
    cells: int
    there: int | None
    """How many of them are filled by now; None where some of them are not shown."""


@dataclass(frozen=True)
class Offer:
    """The button, and what it would do."""

    missing: int
    cost: str
    """What that takes, in words."""
    refused: str
    """Why there is no button; empty where there is one."""


@dataclass(frozen=True)
class Served:
    """A table whose files are got from here: inside the page they would be larger than the page itself."""

    table: Table
    csv_address: str
    json_address: str


@dataclass(frozen=True)
class MatrixView:
    """The page."""

    known: Known
    grid: Grid
    metrics: Mapping[str, str]
    """Name -> in words."""
    usual_first: str
    """The first partition that is shown where nobody says which."""
    years: Sequence[tuple[str, int]]
    """(year, how many columns stand below it)."""
    columns: Sequence[Column]
    versions: Sequence[Row]
    baselines: Sequence[Row]
    gold: Sequence[int]
    """Gold skills of each partition, the most that anything was scored on."""
    drift: DriftStrip | None
    drift_files: Files | None
    drift_versions: Sequence[int]
    """Those whose drift is known, newest first."""
    at_work: Sequence[AtWork]
    last: AtWork | None
    """The newest run, where it is over."""
    offer: Offer


def matrix_view(known: Known, metric: str, drift: int | None, access: Access) -> MatrixView:
    """`drift` is the version whose drift is told; by default the champion, else the newest of those that have some."""
    found, drawn, work = known.matrix, grid(known.matrix, metric), _work(known)
    fillable: dict[int, int] = {}
    for cell in known.missing():
        fillable[cell.version] = fillable.get(cell.version, 0) + 1
    rows = [
        Row(
            column.name,
            column.number,
            column.trained_until,
            column.aliases,
            fillable.get(column.number or 0, 0),
            [_spot(line.presence, line.squares, place, column.name, line.partition, work) for line in drawn.lines],
        )
        for place, column in enumerate(drawn.columns)
    ]
    columns = [Column(key, key[5:] or key, presence) for key, presence in found.partitions.items()]
    measured = {cell.version for cell in found.cells.values() if cell.metrics.get("drift")}
    strip = _strip(known, measured, drift)
    at_work = [_at_work(run, known) for run in known.fills.active]
    last = known.fills.last
    return MatrixView(
        known=known,
        grid=drawn,
        metrics={name: _NAMES.get(name, name.replace("_", " ")) for name in METRICS},
        usual_first=usual_first(known.keys) if known.keys else "",
        years=[(year, len(list(keys))) for year, keys in groupby(key[:4] for key in found.partitions if key[5:])],
        columns=columns,
        versions=[row for row in reversed(rows) if row.number is not None],
        baselines=[row for row in rows if row.number is None],
        gold=[line.gold_skills for line in drawn.lines],
        drift=strip,
        drift_files=Files(strip.table()) if strip else None,
        drift_versions=sorted(measured, reverse=True),
        at_work=at_work,
        last=_at_work(last, known) if last is not None and not last.active else None,
        offer=offer(known, known.missing(), access),
    )


def offer(known: Known, missing: Sequence[Cell], access: Access) -> Offer:
    """Of filling these cells."""
    refused, dag = "", known.fills.dag_id
    if known.experiment is None or known.fills.missing:
        refused = f"Airflow does not have the DAG {dag}, so nothing can be filled from here."
    elif not access.may_trigger(dag):
        refused = f"You may not start runs of {dag}: who may finds a button here that fills them."
    elif known.fills.paused:
        refused = f"The DAG {dag} is paused in Airflow, so a run would only wait. Let it go on there first."
    return Offer(len(missing), _told(known.cost(missing), len(runs_for(missing))) if missing else "", refused)


def _told(cost: FillCost, runs: int) -> str:
    several = f" In {runs} runs, of at most {MOST_CELLS} cells each." if runs > 1 else ""
    if cost.seconds is None:
        kinds = ", ".join(SUBJECTS[name] for name in cost.unknown)
        return f"How long that takes is not known: no such cell was scored yet ({kinds}).{several}"
    by = ", ".join(f"{SUBJECTS[name]} {took(pace.seconds)}" for name, pace in cost.paces.items())
    return f"About {took(cost.seconds)}, by what cells took: {by}.{several}"


def _spot(presence: str, squares: Sequence[Square], place: int, name: str, key: str, work: Mapping[Pair, Spot]) -> Spot:
    if not squares:
        css, text, why = _ABSENT[presence]
        return Spot(css, text, f"{name} on {key}: {why}")
    square = squares[place]
    if not square.state:
        return Spot("", "", "")
    if square.score is not None:
        link = square.state == "scored" and "@" in name
        return Spot(f"s{square.shade}", square.text, square.hint, link, bool(square.drift))
    if square.state == "missing":
        number = name.rpartition("@")[2]
        at = work.get((int(number), key)) if number.isdecimal() else None
        return Spot(at.css, at.text, f"{name} on {key}: {at.hint}") if at else Spot("lacking", "·", square.hint)
    css, text = (
        ("trained", "T") if square.state == "trained on" else ("none", "U" if square.state == "unlabelled" else "–")
    )
    return Spot(css, text, square.hint, drifted=bool(square.drift))


def _work(known: Known) -> dict[Pair, Spot]:
    """What is told of a missing cell that a run is at, or that the last run has failed at."""
    found: dict[Pair, Spot] = {}
    active = {run.run_id for run in known.fills.active}
    running: dict[Pair, Spot] = {}
    for score in known.scores:
        step = _STEP.fullmatch(score.step_id)
        if step is None or step["model"] != known.found.model:
            continue
        pair = (int(step["number"]), step["key"])
        if score.state == "failed":
            first = (score.error or "").strip().partition("\n")[0][:_MOST_CHARS]
            found[pair] = Spot("failed", "✕", f"the last try failed: {first}")
        elif score.run_id in active or (score.trigger == "cli" and score.run_state == "running"):
            running[pair] = Spot("running", "●", "it is being scored now")
    for run in known.fills.active:
        for pair in run.pairs:
            found[pair] = Spot("queued", "…", f"the run {run.run_id} will fill it")
    return found | running


def _strip(known: Known, measured: set[int], wanted: int | None) -> DriftStrip | None:
    champion = known.found.aliases.get("champion")
    usual = champion if champion in measured else max(measured, default=None)
    number = wanted if wanted in measured else usual
    return None if number is None else drift_strip(known.matrix, number)


def _at_work(run: FillRun, known: Known) -> AtWork:
    cells = [known.matrix.cells.get(pair) for pair in run.pairs]
    there = None if None in cells else sum(cell is not None and cell.state != "missing" for cell in cells)
    return AtWork(run, len(cells), there)
