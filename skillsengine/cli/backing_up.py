"""`skillsengine backup` and `skillsengine restore`: the catalog and its artifacts, out and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli.console import err, fail, out, settings_for
from skillsengine.pipeline.backup import back_up, snapshots
from skillsengine.pipeline.restore import restore as bring_back
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.files import size_text
from skillsengine.storage.opening import open_store

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


def add_to(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command()(command)


def backup(folder: Folder) -> None:
    """Add a snapshot of the catalog and of all artifacts that it names to the backup in DIR, while runs go on.

    A second one copies only what is new. Of a PostgreSQL catalog, too, it is a file of SQLite. Exit code 1 if something that
    the catalog names was not there to be copied; the rest is kept all the same.

    Example: `skillsengine backup /mnt/backup/skillsengine`
    """
    settings = settings_for()
    made = back_up(open_store(settings), Catalog.open(settings.catalog_url), folder.resolve(), datetime.now(UTC))
    new = f"{made.copied} artifacts are new ({size_text(made.bytes)})"
    out.print(f"{folder / 'snapshots' / made.snapshot}: {new}, {made.there} were there", markup=False)
    _tell_missing(made.missing, "not in the backup")


def restore(
    folder: Folder,
    snapshot: Annotated[
        str | None, typer.Option(metavar="NAME", help="A folder of DIR/snapshots. Default: the newest.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the snapshots, oldest first, and end.")] = False,
) -> None:
    """Restore a backup into an empty home: artifacts, labels and catalog, each byte compared with its sha256.

    The home and the catalog are those of SKILLSENGINE_HOME and SKILLSENGINE_CATALOG. Exit code 1 if something is missing; it
    says what. Runs that were going on are marked as failed: what they had done is found by the next one.

    Example: `SKILLSENGINE_HOME=/srv/skillsengine skillsengine restore /mnt/backup/skillsengine`
    """
    found = {each.name: each for each in snapshots(folder.resolve())}
    if list_:
        for name, each in found.items():
            out.print(
                f"{name}: {len(each.artifacts)} artifacts, catalog {size_text(each.catalog['bytes'])}", markup=False
            )
        return
    if snapshot is not None and snapshot not in found:
        raise fail(f"{folder} has no snapshot {snapshot}; it has {', '.join(found)}.")
    chosen = found[snapshot or max(found)]
    settings = settings_for()
    done = bring_back(chosen, folder.resolve(), settings, open_store(settings))
    out.print(
        f"{settings.home}: restored {chosen.name}: {done.artifacts} artifacts ({size_text(done.bytes)}), "
        f"{done.versions} versions",
        markup=False,
    )
    _tell_missing(done.missing, "missing")


def _tell_missing(lines: list[str], what: str) -> None:
    if not lines:
        return
    for line in lines:
        err.print(f"{what}: {line}", markup=False)
    raise typer.Exit(1)
