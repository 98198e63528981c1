"""Commands about the matrix: look at it, fill what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import fail, out, print_table, seconds_text
from skillsengine.cli.filling import fill_here, fill_in_airflow
from skillsengine.cli.matrix_view import check_metric, describe_partitions, draw_matrix, matrix_table
from skillsengine.cli.specs import Sets, load
from skillsengine.pipeline.bounds import MOST_CELLS
from skillsengine.pipeline.fill_cost import SUBJECTS, fill_cost
from skillsengine.pipeline.filling import pairs, runs_for
from skillsengine.pipeline.matrix import Cell, Matrix, build_matrix
from skillsengine.pipeline.plan import PlanError
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
    loaded, settings = load(spec_of(name), None)
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
    for line in describe_partitions(found, metric):
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
    airflow: Annotated[
        bool, typer.Option("--airflow", help="Let Airflow do it: a run of NAME.evaluations, followed here.")
    ] = False,
    set_: Sets = None,
) -> None:
    """Fill the missing cells of the matrix, here and now, in one run: each base is loaded once.

    Beside each version its baselines are scored (`evaluations.baselines`). Every finished cell stays, whatever ends the run:
    the same command goes on with the others. Versions are not scored on partitions that they were trained on.

    Example: `skillsengine backfill job-skills-demo --from 2025-01 --versions champion --dry-run`
    """
    if airflow and set_:
        raise fail("--set is for a fill in this process: a run of Airflow takes the spec as it stands. Leave one out.")
    loaded, settings = load(spec_of(name), set_)
    found = _build(loaded, settings, versions, first, last)
    missing = found.missing()
    if as_json:
        if not dry_run:
            raise fail("--json lists what is missing and fills nothing: add --dry-run.")
        sys.stdout.write(json.dumps([f"{version}@{partition}" for version, partition in pairs(missing)]) + "\n")
        return
    _show_missing(found, missing)
    if dry_run or not missing:
        return
    if airflow:
        fill_in_airflow(loaded.experiment, settings, missing)
    else:
        fill_here(loaded, settings, missing)


def _build(loaded: Loaded, settings: Settings, versions: str | None, first: str | None, last: str | None) -> Matrix:
    wanted = [part.strip().rpartition("@")[2] for part in (versions or "").split(",") if part.strip()]
    catalog = Catalog.open(settings.catalog_url)
    return build_matrix(
        loaded.experiment, settings, catalog, versions=wanted, first=first, last=last, trusted=loaded.trusted
    )


def spec_of(name: str) -> Path:
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
    cells, baselines = len(found.cells), len(found.distinct_baselines())
    barred = sum(cell.state == "trained on" for cell in found.cells.values())
    if not missing:
        beside = f" and {baselines} of baselines" if baselines else ""
        told = f", {barred} more are of ads that the version was trained on" if barred else ""
        out.print(f"nothing is missing: all {cells - barred} cells{beside} are there{told}. No run was started.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("scored", "missing", "partitions"):
        table.add_column(column, justify="right" if column == "missing" else "left", overflow="fold")
    lacking: dict[str, list[str]] = {}
    names = {row.number: row.name for row in found.versions}
    for cell in missing:
        name = names[cell.version] if cell.subject == "adapter" else cell.subject
        lacking.setdefault(name, []).append(cell.partition)
    for name, lacks in lacking.items():
        table.add_row(name, str(len(lacks)), _listed(list(dict.fromkeys(lacks))))
    print_table(table)
    own = sum(cell.subject == "adapter" for cell in missing)
    outdated = sum(cell.outdated is not None for cell in missing)
    parts = [f"{own} of {cells} cells are missing"]
    parts[0] += f", and {len(missing) - own} of {baselines} of baselines" if baselines else ""
    parts += [f"{outdated} of them since their data or the way of scoring has changed"] if outdated else []
    parts += [f"{barred} are of ads that the version was trained on, and stay empty"] if barred else []
    out.print("; ".join(parts) + ".")
    if len(runs := runs_for(missing)) > 1:
        out.print(f"They are filled by {len(runs)} runs, of at most {MOST_CELLS} partitions of versions each.")
    out.print(_cost(found, missing))


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) <= 6 else f"{', '.join(keys[:3])}, … {keys[-1]}"


def _cost(found: Matrix, missing: list[Cell]) -> str:
    cost = fill_cost((*found.cells.values(), *found.distinct_baselines()), missing)
    if cost.seconds is None:
        names = ", ".join(SUBJECTS[name] for name in cost.unknown)
        return f"Time: unknown, since no cell of this experiment was scored yet ({names})."
    by = ", ".join(
        f"{SUBJECTS[name]} {seconds_text(pace.seconds)} (median of {pace.cells})" for name, pace in cost.paces.items()
    )
    return f"Time: about {seconds_text(cost.seconds)}, by what cells took: {by}."
