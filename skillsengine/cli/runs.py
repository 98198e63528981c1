"""Commands about runs: run a spec here and now, list what ran."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import line_observer, out, print_table, seconds_text, settings_for
from skillsengine.cli.ending import closed_if_it_fails
from skillsengine.cli.specs import Partition, Sets, load
from skillsengine.pipeline.plan import RunOptions, steps_of_stage
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.push import run_push
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.pipeline.summaries import summary_line
from skillsengine.spec.schema import STAGES
from skillsengine.stages.contract import Limit
from skillsengine.storage.catalog import Catalog, RunRow


def add_to(app: typer.Typer) -> None:
    for command in (run, runs):
        app.command()(command)


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file of `experiments/`.")],
    partition: Partition = None,
    set_: Sets = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="STAGE", help=f"Stop after this stage: {', '.join(STAGES)}, of a sweep select."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Smoke test: N rows, 5 steps, 4 ads answered, texts cut at 256 tokens; registers nothing.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Fine-tune again although the adapter is cached; both stay.")] = False,
) -> None:
    """Run an experiment in this process, without Airflow. What exists already is not done again.

    Interrupt it when you like: the same command goes on from the last checkpoint.

    Example: `skillsengine run experiments/job-skills-demo.yaml --limit 8`
    """
    if until:
        steps_of_stage(until)
    loaded, settings = load(spec, set_)
    options = RunOptions(limit=Limit(limit) if limit else None, trusted=loaded.trusted)
    opened = open_run(
        loaded.experiment,
        dag_id=loaded.experiment.name,
        run_id=f"cli__{datetime.now().astimezone().isoformat(timespec='seconds')}__{uuid4().hex[:4]}",
        settings=settings,
        partition=partition,
        options=options,
        force=force,
        trigger="cli",
    )
    out.print(f"[bold]{opened.experiment.name}[/] · partition {opened.partition} · run {opened.run_id}")
    for note in opened.sources.notes:
        out.print(f"note: {note}", markup=False)
    with closed_if_it_fails(opened):
        _stages(opened, until)
    out.print(Text(finish_run(opened, "success"), style="bold"))


def _stages(opened: Run, until: str | None) -> None:
    for stage in opened.plan.stages:
        started = time.monotonic()
        result = run_stage(opened, stage, line_observer())
        for step in result["steps"]:
            state = ("cached", "green") if step["cached"] else (seconds_text(step["seconds"]), "cyan")
            told = summary_line(stage_of(step["id"]), step["summary"])
            out.print(Text.assemble((step["id"], "bold"), " ", state, " ", told))
        for name, words in result.get("drift", {}).items():
            out.print(f"{name}: {words}", markup=False)
        for lost in result.get("diverged", ()):
            out.print(Text.assemble((lost["id"], "bold"), " ", ("diverged", "red"), f" {lost['reason']}"))
        if "skipped" in result:
            out.print(f"[bold]{stage}[/] skipped: {result['skipped']}")
        out.print(f"  [dim]{stage}: {seconds_text(time.monotonic() - started)}[/]")
        if stage == until:
            return
    if opened.options.limit is None:
        verdict = run_gate(opened, line_observer())
        out.print(Text.assemble(("gate", "bold"), f" {verdict['verdict']}: {verdict['reason']}"))
        moved = run_promote(opened, line_observer())
        told = f"champion is now {moved['version']}" if moved["moved"] else moved["reason"]
        out.print(Text.assemble(("promote", "bold"), f" {told}"))
        if opened.experiment.register.hub is not None:
            pushed = run_push(opened)
            out.print(f"[bold]push[/] {pushed['url']}{'' if pushed['pushed'] else ' stands there already'}")


def stage_of(step_id: str) -> str:
    """`evaluate` of `evaluate[base]`."""
    return step_id.partition("[")[0]


def runs(
    experiment: Annotated[str | None, typer.Argument(help="Only runs of this experiment.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List runs, newest first: Airflow's and those of the command line.

    Example: `skillsengine runs job-skills-demo --last 5`
    """
    catalog = Catalog.open(settings_for().catalog_url)
    rows = catalog.list_runs(experiment, limit=last)
    if as_json:
        sys.stdout.write(json.dumps(list(map(_listed, rows)), indent=1, ensure_ascii=False) + "\n")
        return
    if not rows:
        out.print(
            "no runs yet" + (f" of {experiment}" if experiment else "") + ": start one with `skillsengine run SPEC`"
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("started", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("run", overflow="fold")
    for row in rows:
        started = row.started.astimezone().strftime("%Y-%m-%d %H:%M")
        told = [
            row.experiment if row.kind == "retrain" else f"{row.experiment}.evaluations",
            row.partition,
            row.trigger,
        ]
        color = {"success": "green", "failed": "red"}.get(row.state, "yellow")
        head = " · ".join(each for each in told if each)
        table.add_row(
            started, Text(row.state, color), Text.assemble(head, (f"\n{row.note}" if row.note else "", "dim"))
        )
    print_table(table)


def _listed(row: RunRow) -> dict[str, Any]:
    return {
        "experiment": row.experiment,
        "kind": row.kind,
        "partition": row.partition,
        "trigger": row.trigger,
        "state": row.state,
        "started": row.started.isoformat(),
        "finished": row.finished.isoformat() if row.finished else None,
        "note": row.note,
        "error": row.error,
        "dag_id": row.dag_id,
        "run_id": row.run_id,
        "spec_commit": row.spec_commit,
    }
