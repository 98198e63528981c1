"""Commands about the matrix: look at it, fill what is missing."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import fail, line_observer, out, print_table, seconds_text
from skillsengine.cli.matrix_view import check_metric, describe_partitions, draw_matrix, matrix_table
from skillsengine.cli.specs import Sets, load
from skillsengine.pipeline.bounds import MOST_CELLS
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.matrix import Cell, Matrix, build_matrix
from skillsengine.pipeline.plan import PlanError, RunOptions
from skillsengine.pipeline.run import finish_run, open_run
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.load import Loaded
from skillsengine.spec.suggest import closest
from skillsengine.storage.catalog import Catalog

Name = Annotated[str, typer.Argument(metavar="NAME", help="An experiment: its name, or its YAML file.")]
From = Annotated[str | None, typer.Option("--from", metavar="KEY", help="First partition, such as 2025-01.")]
To = Annotated[str | None, typer.Option("--to", metavar="KEY", help="Last partition.")]
Versions = Annotated[
    str | None,
    typer.Option(metavar="REF,...", help="Numbers or aliases, such as 3,7,champion. Default: all versions."),
]


def add_to(app: typer.Typer) -> None:
    for command in (matrix, backfill):
        app.command()(command)


def matrix(
    name: Name,
    versions: Versions = None,
    first: From = None,
    last: To = None,
    metric: Annotated[
        str, typer.Option(help="What is shown: f1, precision, recall, parse_rate, verbatim_rate.")
    ] = "f1",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all metrics.")] = False,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it into a picture, too.")] = None,
) -> None:
    """Show every version of an experiment's model on every partition of its data.

    A cell says how good a version is on a partition that it was not trained on. `·` is missing, and
    `skillsengine backfill NAME` fills it.

    Example: `skillsengine matrix job-skills-demo --versions champion,latest`
    """
    loaded, settings = load(_spec_of(name), None)
    found = _build(loaded, settings, versions, first, last)
    check_metric(metric)
    if png is not None:
        draw_matrix(found, metric, png)
    if as_json:
        sys.stdout.write(json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")
        return
    print_table(matrix_table(found, metric))
    if png is not None:
        out.print(f"drawn into {png}", markup=False)
    for line in describe_partitions(found):
        out.print(Text(line, style="dim"))


def backfill(
    name: Name,
    first: From = None,
    last: To = None,
    versions: Versions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing and what it will take.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --dry-run: print the missing cells as `version@partition`, in a JSON list."),
    ] = False,
    set_: Sets = None,
) -> None:
    """Fill the missing cells of the matrix, here and now, in one run: each base is loaded once.

    Every finished cell stays, whatever ends the run: the same command goes on with the others. Versions are not scored on
    partitions that they were trained on.

    Example: `skillsengine backfill job-skills-demo --from 2025-01 --versions champion --dry-run`
    """
    loaded, settings = load(_spec_of(name), set_)
    found = _build(loaded, settings, versions, first, last)
    missing = found.missing()
    if as_json:
        if not dry_run:
            raise fail("--json lists what is missing and fills nothing: add --dry-run.")
        sys.stdout.write(json.dumps([f"{cell.version}@{cell.partition}" for cell in missing]) + "\n")
        return
    _show_missing(found, missing)
    if dry_run or not missing:
        return
    for part in [missing[start : start + MOST_CELLS] for start in range(0, len(missing), MOST_CELLS)]:
        _fill(loaded, settings, part)


def _build(loaded: Loaded, settings: Settings, versions: str | None, first: str | None, last: str | None) -> Matrix:
    wanted = [part.strip().rpartition("@")[2] for part in (versions or "").split(",") if part.strip()]
    catalog = Catalog.open(settings.catalog_url)
    return build_matrix(
        loaded.experiment, settings, catalog, versions=wanted, first=first, last=last, trusted=loaded.trusted
    )


def _spec_of(name: str) -> Path:
    """The YAML file that NAME means. Raises PlanError that lists the experiments."""
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        return Path(name)
    folder = load_settings().experiments
    specs = {
        path.stem: path
        for path in sorted(folder.rglob("*.yaml"))
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    }
    if name in specs:
        return specs[name]
    near = closest(name, specs)
    hint = f" Did you mean `{near}`?" if near else ""
    raise PlanError(f"{name}: no spec in {folder} has this name; there are {', '.join(specs) or 'none'}.{hint}")


def _show_missing(found: Matrix, missing: list[Cell]) -> None:
    wanted = len(found.cells)
    barred = sum(cell.state == "trained on" for cell in found.cells.values())
    if not missing:
        told = f", {barred} more are of partitions that the version was trained on" if barred else ""
        out.print(f"nothing is missing: all {wanted - barred} cells are there{told}. No run was started.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("version", "missing", "partitions"):
        table.add_column(column, justify="right" if column == "missing" else "left", overflow="fold")
    for row in found.versions:
        lacks = [cell.partition for cell in missing if cell.version == row.number]
        if lacks:
            table.add_row(row.name, str(len(lacks)), _listed(lacks))
    print_table(table)
    outdated = sum(cell.outdated is not None for cell in missing)
    parts = [f"{len(missing)} of {wanted} cells are missing"]
    parts += [f"{outdated} of them since their data or the way of scoring has changed"] if outdated else []
    parts += [f"{barred} are of partitions that the version was trained on, and stay empty"] if barred else []
    out.print("; ".join(parts) + ".")
    out.print(_cost(found, len(missing)))


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) <= 6 else f"{', '.join(keys[:3])}, … {keys[-1]}"


def _cost(found: Matrix, count: int) -> str:
    """What the missing cells will take, from what others took."""
    seconds = [float(m["seconds"]) for m in map(_metrics, found.cells.values()) if "seconds" in m]
    if not seconds:
        return "Time: unknown, since no cell of this experiment was scored yet."
    each = statistics.median(seconds)
    return f"Time: about {seconds_text(each * count)}, by the {seconds_text(each)} that a cell took (median of {len(seconds)})."


def _metrics(cell: Cell) -> Mapping[str, Any]:
    return cell.metrics or cell.outdated or {}


def _fill(loaded: Loaded, settings: Settings, cells: list[Cell]) -> None:
    run = open_run(
        loaded.experiment,
        dag_id=f"{loaded.experiment.name}.evaluations",
        run_id=f"cli__{datetime.now().astimezone().isoformat(timespec='seconds')}__{uuid4().hex[:4]}",
        settings=settings,
        options=RunOptions(trusted=loaded.trusted),
        trigger="cli",
        kind="evaluations",
        cells=[(cell.version, cell.partition) for cell in cells],
    )
    place = iter(range(1, len(cells) + 1))

    def told(version: str, key: str, metrics: Mapping[str, Any]) -> None:
        score = (
            f"F1 {metrics['f1']:.3f} ({metrics['f1_low']:.3f} to {metrics['f1_high']:.3f})"
            if "f1" in metrics
            else "unlabelled"
        )
        out.print(
            f"{next(place)}/{len(cells)}  {version} on {key}: {score}, {metrics['rows']} ads, {metrics['seconds']:.1f} s"
        )

    try:
        result = run_evaluation(run, line_observer(), told)
    except BaseException as error:
        finish_run(run, "failed", str(error) or type(error).__name__)
        raise
    for name, reason in result["not_scored"].items():
        out.print(f"{name}: not scored: {reason}", markup=False)
    note = f"{result['done']} cells filled, {result['cached']} were there"
    note += f", {len(result['not_scored'])} could not be scored" if result["not_scored"] else ""
    run.catalog.finish_run(run.id, "success", note)
    out.print(Text(note, style="bold"))
