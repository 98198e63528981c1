"""`skillsengine gc`: what nobody needs goes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import fail, out, print_table, settings_for
from skillsengine.pipeline.garbage import Garbage, alone, look
from skillsengine.spec.sections.fields import format_duration, parse_duration
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.files import size_text
from skillsengine.storage.gc import OLDER_THAN
from skillsengine.storage.opening import open_store


def add_to(app: typer.Typer) -> None:
    app.command("gc")(collect)


def collect(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Artifacts used within this time stay: 12h, 30d.")
    ] = format_duration(OLDER_THAN),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="List what stays, too, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; deletes only with --yes.")] = False,
) -> None:
    """Delete what nobody needs: it shows what would go, and asks.

    Artifacts stay that a version, a cell of the matrix, a run that is going on or a spec's next run needs, and any that was
    made or found within the last 30 days. Labels, bases, the catalog's runs and W&B runs that were not sent always stay.
    The housekeeping DAG does the same every night.

    Example: `skillsengine gc --older-than 90d --dry-run`
    """
    try:
        age = parse_duration(older_than)
    except ValueError as error:
        raise fail(f"--older-than {older_than}: {error}.") from error
    settings = settings_for()
    store, catalog = open_store(settings), Catalog.open(settings.catalog_url)
    with alone(catalog):
        garbage = look(settings, store, catalog, datetime.now(UTC), age)
        deletes = not dry_run and (yes or (not as_json and _agreed(garbage, age, all_)))
        if not as_json and (dry_run or yes):
            _show(garbage, age, all_)
        removed = garbage.remove(store, catalog, None if as_json else _told) if deletes else None
    if as_json:
        told = _as_json(garbage) | ({"removed": list(removed.names), "spared": list(removed.spared)} if removed else {})
        sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    elif removed is not None and removed.names:
        out.print(f"deleted {_things(len(removed.names))}, {size_text(removed.bytes)}")


def _agreed(garbage: Garbage, age: timedelta, all_: bool) -> bool:
    """Shows what would go; whether there is anything, and somebody says so. Without a terminal nobody does."""
    _show(garbage, age, all_)
    if not (garbage.going or garbage.others):
        return False
    if not sys.stdin.isatty():
        out.print("nothing was deleted: nobody is here to ask (--yes deletes without asking)")
        return False
    return typer.confirm(f"Delete {_things(len(garbage.going) + len(garbage.others))}?")


def _show(garbage: Garbage, age: timedelta, all_: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("what", "why"):
        table.add_column(column, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for fate in garbage.going:
        table.add_row(Text(fate.artifact.name), Text(fate.why), size_text(fate.artifact.bytes))
    for other in garbage.others:
        table.add_row(Text(f"{other.kind} {other.path.name}"), Text(other.why), size_text(other.bytes))
    if table.row_count:
        print_table(table)
    stay = [fate for fate in garbage.fates if not fate.goes]
    for note in garbage.notes:
        out.print(f"note: {note}", markup=False)
    total = size_text(garbage.bytes)
    out.print(f"[bold]{_things(table.row_count)} would go, {total}[/]" if table.row_count else "nothing to delete")
    out.print(f"{len(stay)} artifacts stay, {size_text(sum(fate.artifact.bytes for fate in stay))}:")
    if all_:
        kept = Table(box=None, pad_edge=False, show_header=False)
        for fate in stay:
            kept.add_row(Text(f"  {fate.artifact.name}"), Text(fate.why))
        print_table(kept)
        return
    young = sum(fate.why.startswith("used ") for fate in stay)
    damaged = sum(fate.why.startswith("damaged: ") for fate in stay)
    held = Counter({"needed": len(stay) - young - damaged, f"used within {format_duration(age)}": young})
    held["damaged"] = damaged
    out.print("  " + ", ".join(f"{count} {why}" for why, count in held.items() if count) + " (--all lists them)")


def _told(name: str, done: bool) -> None:
    if not done:
        out.print(f"spared {name}: it was needed again meanwhile", markup=False)


def _as_json(garbage: Garbage) -> dict[str, Any]:
    return {
        "artifacts": [
            {"stage": f.artifact.stage, "key": f.artifact.key, "digest": f.artifact.digest, "bytes": f.artifact.bytes}
            | {"used": f.used.isoformat(timespec="seconds"), "goes": f.goes, "why": f.why}
            for f in garbage.fates
        ],
        "others": [{"kind": o.kind, "path": str(o.path), "bytes": o.bytes, "why": o.why} for o in garbage.others],
        "notes": list(garbage.notes),
        "bytes": garbage.bytes,
    }


def _things(count: int) -> str:
    return f"{count} thing" if count == 1 else f"{count} things"
