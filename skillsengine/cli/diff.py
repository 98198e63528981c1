"""`skillsengine diff`: what two specs differ in by meaning, and what that makes a run do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli import sides
from skillsengine.cli.console import fail, out, print_table, settings_for
from skillsengine.cli.sides import Side
from skillsengine.cli.specs import Sets
from skillsengine.pipeline.consequences import Consequences, consequences
from skillsengine.pipeline.provenance import spec_file
from skillsengine.pipeline.stored import departures
from skillsengine.spec.compare import Change, compare
from skillsengine.spec.load import resolved
from skillsengine.spec.text import printable

WIDTH = 80
_FAR = 44
"""A longer change does not move the column of all places."""
_FILES = ("data.source", "data.date_column")
_LONG = 60
"""A longer text, or one of several lines, is compared line by line."""


def add_to(app: typer.Typer) -> None:
    app.command()(diff)


def diff(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A spec, or a version such as job-skills@7 or job-skills@champion.")
    ],
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="Another one. Left out: A against git's HEAD; a version against its spec."),
    ] = None,
    set_: Sets = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if there is a difference in meaning, as git does.")
    ] = False,
) -> None:
    """Show what differs in meaning between two specs, and which stages run again because of it.

    What a spec extends, its references, the overlay and the defaults are worked in; comments, order and spelling do not
    count. The data is taken to be the same: `skillsengine plan` looks at it. `--set` is for the second of the two.

    Example: `skillsengine diff job-skills@champion experiments/job-skills.yaml`
    """
    before, after = _sides(a, b, set_ or [])
    changes = compare(resolved(before.experiment), resolved(after.experiment))
    same_base = before.experiment.base.model == after.experiment.base.model
    reasons = departures(before.made, after.made, same_base=same_base)
    follows = consequences(before.experiment, after.experiment, changes, after.settings, reasons)
    if as_json:
        told = _as_json(before, after, changes, follows)
        sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    else:
        _print(before, after, changes, follows, departed=bool(reasons))
    if changes and exit_code:
        raise typer.Exit(1)


def _sides(a: str, b: str | None, overrides: list[str]) -> tuple[Side, Side]:
    """Before and after."""
    if b is None and not sides.is_version(a):
        after = sides.of_file(Path(a), overrides)  # first: a mistyped path is no new spec
        return sides.of_commit(Path(a)), after
    files = [Path(text) for text in (a, b) if text is not None and not sides.is_version(text)]
    settings = settings_for(files[0] if files else None)
    before = sides.of_version(a, settings) if sides.is_version(a) else sides.of_file(Path(a))
    if b is None:
        path = spec_file(settings, before.experiment.name)
        if path is None:
            raise fail(
                f"{before.title}: its experiment `{before.experiment.name}` has no spec in {settings.experiments} any more. "
                "Name a spec to compare it with."
            )
        return before, sides.of_file(path, overrides)
    if not sides.is_version(b):
        return before, sides.of_file(Path(b), overrides)
    if overrides:
        raise fail(f"--set: {b} is a version, which nothing changes any more. Give --set where B is a spec.")
    return before, sides.of_version(b, settings)


def _print(before: Side, after: Side, changes: Sequence[Change], follows: Consequences, *, departed: bool) -> None:
    out.print(Text.assemble((before.title, "bold"), " -> ", (after.title, "bold")))
    for note in (*before.notes, *after.notes):
        out.print(f"note: {note}", markup=False)
    if not changes:
        out.print(_sameness(before, after))
        if not departed:
            return
    _print_changes(changes, before, after)
    moved = any(change.path in _FILES for change in changes)
    out.print(f"\na run, if the {'new files hold other rows' if moved else 'data stays as it is'}:")
    _print_outcomes(follows)
    if follows.elsewhere:
        out.print("\nno stage runs again for:")
        table = _table()
        for change, about in follows.elsewhere:
            table.add_row(Text(change.path), Text(about))
        print_table(table)


def _sameness(before: Side, after: Side) -> str:
    if before.loaded is None or after.loaded is None:
        return "the same in meaning"
    return "no difference" if before.loaded.text == after.loaded.text else "the same in meaning; only the text differs"


def _print_outcomes(follows: Consequences) -> None:
    table = _table()
    for outcome in follows.outcomes:
        state = ("runs again", "yellow") if outcome.again else ("kept", "green")
        table.add_row(Text(outcome.step), Text(*state), Text(outcome.because))
    print_table(table)


def _table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    return table


def _print_changes(changes: Sequence[Change], before: Side, after: Side) -> None:
    """One line a change, with the place behind it where both fit into a terminal, else below it."""
    rows = [(change, f"{change}", _where(change, before, after)) for change in changes if not _long(change)]
    fits = [len(text) for _, text, where in rows if len(text) + 2 + len(where) <= WIDTH]
    column = max((size for size in fits if size <= _FAR), default=0)
    for change, text, where in rows:
        beside = max(column, len(text)) + 2 + len(where) <= WIDTH
        gap = " " * (max(column, len(text)) + 2 - len(text)) if beside else "\n    "
        name = len(change.path)
        out.print(Text.assemble((text[:name], "bold"), text[name:], (gap + where if where else "", "dim")))
    for change in changes:
        if _long(change):
            where = _where(change, before, after)
            out.print(Text.assemble((change.path, "bold"), ":", (f"  {where}" if where else "", "dim")))
            for line in _text_diff(change):
                out.print(Text(f"  {line}", _COLORS.get(line[0], "")))


_COLORS = {"+": "green", "-": "red"}


def _long(change: Change) -> bool:
    texts = [value for value in (change.before, change.after) if isinstance(value, str)]
    return len(texts) == 2 and any("\n" in text or len(text) > _LONG for text in texts)


def _text_diff(change: Change) -> list[str]:
    was, now = ([printable(row) for row in str(value).split("\n")] for value in (change.before, change.after))
    _, _, *lines = unified_diff(was, now, n=1, lineterm="")
    return [line for line in lines if not line.startswith("@@")]


def _where(change: Change, before: Side, after: Side) -> str:
    """Where the new value was written; for one that is written no longer, where the old one was."""
    was, now = before.where(change.parts), after.where(change.parts)
    if now is not None or after.loaded is None:
        return now or (f"was {was}" if was else "")
    return f"by default; was {was}" if was else "by default"


def _as_json(before: Side, after: Side, changes: Sequence[Change], follows: Consequences) -> dict[str, Any]:
    return {
        "before": before.title,
        "after": after.title,
        "notes": [*before.notes, *after.notes],
        "same": not changes,
        "changes": [
            {
                "field": change.path,
                "before": change.before,
                "after": change.after,
                "written_before": before.where(change.parts),
                "written_after": after.where(change.parts),
            }
            for change in changes
        ],
        "steps": [
            {
                "step": outcome.step,
                "runs_again": outcome.again,
                "changes": [change.path for change in outcome.changes],
                "reasons": list(outcome.reasons),
                "inputs": list(outcome.inputs),
            }
            for outcome in follows.outcomes
        ],
        "no_step": {change.path: about for change, about in follows.elsewhere},
    }
