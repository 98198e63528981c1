"""The command that drafts a spec from somebody's own data."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli import drafted
from skillsengine.cli.console import err, out, settings_for
from skillsengine.draft.bring import brought
from skillsengine.draft.guess import Options
from skillsengine.draft.make import make_draft
from skillsengine.draft.write import put, target_for


def add_to(app: typer.Typer) -> None:
    app.command()(new)


def _column(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="COLUMN", help=f"Column with {what}, instead of a guess.")
    return option


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the experiment is to be called, e.g. `my-skills`.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Your ads: a file, a folder, a glob in quotes, or a path with `{partition}` in the place of the month.",
        ),
    ],
    text: Annotated[str | None, _column("the ad's text")] = None,
    labels: Annotated[str | None, _column("the skills")] = None,
    date: Annotated[str | None, _column("the ad's date")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Column with the row's identifier, instead of a guess.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A folder or a Hub id such as meta-llama/Llama-2-13b-hf. Default: built in."
        ),
    ] = None,
    copy: Annotated[
        bool | None,
        typer.Option(
            "--copy/--no-copy",
            help="Copy the data below data/own/. Default: only what lies where a spec may not read.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the spec of that name, and its copied data.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the spec and write nothing.")] = False,
) -> None:
    """Draft a spec from your own ads: guess columns, labels and dates, and show what comes of it.

    JSON lines, JSON, CSV or TSV (any separator), Parquet; text formats also gzipped. Every guess stands in the spec with its
    reason, and what is in doubt is marked. Then three training rows and the lengths of all are shown.

    Example: `skillsengine new my-skills --data ~/ads.csv`
    """
    settings = settings_for()
    target = target_for(name, settings, force=force)
    made = make_draft(
        name,
        data,
        Options(text=text, labels=labels, date=date, id=id_),
        settings,
        folder=Path.cwd(),
        now=datetime.now(UTC),
        base=base,
        copy=copy,
    )
    drafted.show_guesses(made, err if dry_run else out)
    if dry_run:
        sys.stdout.write(made.text)
        return
    with brought(made.source, force=force, tell=lambda told: out.print(told, markup=False)):
        put(made.text, target)
    shown = drafted.shown_path(target)
    out.print(f"[green]written[/] {shown}")
    drafted.show_rows_of(made, settings, shown)
    drafted.show_next(made, settings, shown)
