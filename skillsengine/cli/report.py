"""`skillsengine report`: everything about a version in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli.console import fail, out, settings_for
from skillsengine.cli.registry import Reference, find_version, require_path
from skillsengine.reporting.report import make_report, write_report
from skillsengine.storage.opening import open_store


def add_to(app: typer.Typer) -> None:
    app.command()(report)


def report(
    reference: Reference,
    out_: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write it. Default: MODEL-NUMBER.html, here."),
    ] = None,
) -> None:
    """Write the report of a version: one HTML file that any browser opens, without a network, to mail, print or keep.

    It shows the score and what it was compared to, the gate's verdict, all measures with intervals, errors marked in ads,
    the training's course, token lengths, every version on every month, and where it all came from. A file that is there
    is written anew.

    Example: `skillsengine report job-skills-demo@champion -o champion.html`
    """
    settings = settings_for()
    version, catalog = find_version(reference, settings)
    require_path(version)
    path = out_ or Path(f"{version.model}-{version.number}.html")
    if path.is_dir():
        raise fail(f"{path} is a folder: name the file, such as {path / f'{version.model}-{version.number}.html'}.")
    if path.exists() and path.suffix.lower() not in (".html", ".htm"):
        raise fail(f"{path} is there already and is no HTML file by its name, so it is left alone. Name another file.")
    text = make_report(version, catalog, open_store(settings), settings)
    write_report(path, text)
    out.print(f"{version.name}: {path} ({len(text.encode()) / 1000:,.0f} kB). Open it in a browser.", markup=False)
