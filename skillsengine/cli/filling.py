"""The two ways in which `skillsengine backfill` fills missing cells: in this process, and by runs of Airflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer
from rich.text import Text

from skillsengine.cli.console import fail, line_observer, out
from skillsengine.cli.ending import closed_if_it_fails
from skillsengine.cli.follow import follow
from skillsengine.cli.pausing import airflow_url
from skillsengine.pipeline.drift import label_free, phrase
from skillsengine.pipeline.evaluations import describe_filled, run_evaluation
from skillsengine.pipeline.filling import asked_of_runs, runs_for
from skillsengine.pipeline.matrix import Cell
from skillsengine.pipeline.plan import RunOptions
from skillsengine.pipeline.run import open_run
from skillsengine.settings import Settings
from skillsengine.spec.load import Loaded
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog

if TYPE_CHECKING:
    from skillsengine.airflow.client import AirflowClient


def fill_here(loaded: Loaded, settings: Settings, missing: Sequence[Cell]) -> None:
    """Compute the cells in this process and tell each. Raises what a run raises; what was finished stays."""
    place = iter(range(1, len(missing) + 1))

    def told(name: str, key: str, metrics: Mapping[str, Any]) -> None:
        score = (
            f"F1 {metrics['f1']:.3f} ({metrics['f1_low']:.3f} to {metrics['f1_high']:.3f})"
            if "f1" in metrics
            else label_free(metrics)
        )
        drift = phrase(metrics, loaded.experiment.drift)
        # Of a cell that somebody else has filled meanwhile nothing is told.
        line = (
            f"{next(place)}/{len(missing)}  {name} on {key}: {score}, {metrics['rows']} ads, {metrics['seconds']:.1f} s"
        )
        out.print(f"{line}, {drift}" if drift else line, markup=False)

    for wanted in runs_for(missing):
        run = open_run(
            loaded.experiment,
            dag_id=f"{loaded.experiment.name}.evaluations",
            run_id=f"cli__{datetime.now().astimezone().isoformat(timespec='seconds')}__{uuid4().hex[:4]}",
            settings=settings,
            options=RunOptions(trusted=loaded.trusted),
            trigger="cli",
            kind="evaluations",
            cells=wanted,
        )
        with closed_if_it_fails(run):
            result = run_evaluation(run, line_observer(), told)
        for name, reason in result["not_scored"].items():
            out.print(f"{name}: not scored: {reason}", markup=False)
        note = describe_filled(result)
        run.catalog.finish_run(run.id, "success", note)
        out.print(Text(note, style="bold"))


def fill_in_airflow(experiment: Experiment, settings: Settings, missing: Sequence[Cell]) -> None:
    """Trigger the runs of the evaluations DAG that fill the cells, one after the other, and follow them.

    Raises typer.Exit with a plain text: no Airflow, no such DAG, a paused one, a failed run.
    """
    from skillsengine.airflow.client import AirflowClient, AirflowError

    dag_id, catalog = f"{experiment.name}.evaluations", Catalog.open(settings.catalog_url)
    try:
        with AirflowClient(airflow_url(settings)) as client:
            _check_dag(client, dag_id, experiment.name)
            for asked in asked_of_runs(experiment, runs_for(missing)):
                run_id = client.trigger(dag_id, conf=asked)
                _watch(client, catalog, dag_id, run_id)
    except AirflowError as error:
        raise fail(str(error)) from error


def _check_dag(client: AirflowClient, dag_id: str, name: str) -> None:
    dag = client.dag(dag_id)
    if dag is None:
        raise fail(
            f"Airflow at {client.url} has no DAG `{dag_id}`. A new spec is there after a few seconds; if it does not come, "
            "`skillsengine doctor` tells why. Without --airflow the cells are filled here."
        )
    if dag["is_paused"]:
        raise fail(
            f"`{dag_id}` is paused in Airflow, so a run would only wait. Let it go on: skillsengine unpause {name}"
        )


def _watch(client: AirflowClient, catalog: Catalog, dag_id: str, run_id: str) -> None:
    """Follow a run to its end and say what came of it."""
    link = f"{client.url}/dags/{dag_id}/runs/{run_id}"
    out.print(f"Airflow fills them: {link}", markup=False)
    try:
        state = follow(client, catalog, dag_id, run_id, out)
    except KeyboardInterrupt:
        out.print(f"the run goes on in Airflow: {link}", markup=False)
        raise typer.Exit(130) from None
    row = catalog.get_run(dag_id, run_id)
    note = row.note if row is not None and row.note else f"the run ended as {state}"
    if state != "success":
        raise fail(f"{note}\nThe log: {link}\nWhat was finished is kept: the same command goes on with the rest.")
    out.print(Text(note, style="bold"))
