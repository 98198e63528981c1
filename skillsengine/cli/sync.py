"""`skillsengine sync`: what Weights & Biases has not got yet is sent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import fail, out, print_table, settings_for
from skillsengine.tracking.kept import KeptRun, kept_runs
from skillsengine.tracking.sync import send_kept_runs


def add_to(app: typer.Typer) -> None:
    app.command()(sync)


def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent; needs no key.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send the runs that were kept offline to Weights & Biases.

    Each is sent once, with its artifacts; what cannot be sent stays and is told, and the next call tries it again. The
    housekeeping DAG does the same every night where WANDB_API_KEY is set.

    Example: `WANDB_API_KEY=... skillsengine sync`
    """
    home = settings_for().home
    kept = kept_runs(home)
    if dry_run:
        _list(kept, as_json)
        return
    waiting = [run for run in kept if run.state == "waiting"]
    if waiting and not os.environ.get("WANDB_API_KEY"):
        raise fail(
            f"WANDB_API_KEY is not set, so there is no account to send {_runs(len(waiting))} to. Copy the key from "
            "https://wandb.ai/authorize (or from your own server, and set WANDB_BASE_URL, too) and try again; "
            "`skillsengine sync --dry-run` lists what waits."
        )

    def told(run: KeptRun, page: str | None, why: str | None) -> None:
        if not as_json:
            what = ("not sent", "red") if why else ("sent", "green")
            out.print(Text.assemble(_called(run), " ", what, f" {why or page or ''}".rstrip()))

    result = send_kept_runs(home, told=told) if waiting else None
    if result is None:
        if as_json:
            _print_json({"sent": {}, "failed": {}, "left": [], "stopped": None})
        else:
            out.print("nothing to send" + (f"; {_runs(len(kept))} still going on" if kept else ""))
        return
    left = [run.folder.name for run in result.left]
    if as_json:
        _print_json({"sent": result.sent, "failed": result.failed, "left": left, "stopped": result.stopped})
    if result.stopped:
        raise fail(f"{_runs(len(left))} not tried: {result.stopped}. They stay; try again later.")
    if result.failed:
        raise fail(f"{_runs(len(result.failed))} not sent. They stay; the next call tries them again.")
    if not as_json:
        out.print(f"{_runs(len(result.sent))} sent")


def _list(kept: Sequence[KeptRun], as_json: bool) -> None:
    if as_json:
        _print_json(
            [
                {"run": run.name, "group": run.group, "project": run.project, "state": run.state}
                | {"folder": str(run.folder), "bytes": run.bytes}
                for run in kept
            ]
        )
        return
    if not kept:
        out.print("nothing to send")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("project", overflow="fold")
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("kB", justify="right", no_wrap=True)
    for run in kept:
        state = Text(run.state, "yellow" if run.state == "going on" else "")
        table.add_row(Text(run.project), Text(_called(run)), state, f"{run.bytes / 1000:,.0f}")
    print_table(table)
    waiting = sum(run.state == "waiting" for run in kept)
    out.print(f"{_runs(waiting)} would be sent, with their artifacts from the store")


def _called(run: KeptRun) -> str:
    return f"{run.group} {run.name}".strip()


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
