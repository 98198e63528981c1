"""`make demo`: start Airflow, let it run the demo's DAG, follow it in the terminal, show what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from skillsengine.airflow import embedded
from skillsengine.airflow.client import AirflowClient
from skillsengine.cli.console import fail, out, seconds_text
from skillsengine.cli.follow import UNDER_WAY, follow
from skillsengine.cli.result import EMBEDDED, Commands, show_result
from skillsengine.pipeline.explain import explain
from skillsengine.pipeline.plan import Plan, find_sources, make_plan
from skillsengine.settings import Settings, without_login
from skillsengine.spec.load import load_spec
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.opening import open_store

SPEC = "job-skills-demo"
_APPEAR_SECONDS = 60.0
_POLL_SECONDS = 1.0


def run_demo(settings: Settings, port: int | None = None, console: Console = out) -> None:
    """The whole demo. Raises typer.Exit(1) with a plain text if the run fails, EmbeddedError if Airflow does not start."""

    def start() -> str:
        return embedded.up(settings, port, progress=lambda text: console.print(f"[dim]{text}[/]")).url

    run_demo_on(start, settings, console)


def run_demo_on(
    start: Callable[[], str], settings: Settings, console: Console = out, commands: Commands = EMBEDDED
) -> None:
    """The demo on an Airflow that `start` starts, or finds, and gives the address of; that may hold a login.

    Raises typer.Exit(1) with a plain text if the run fails, and what `start` raises.
    """
    spec = settings.experiments / f"{SPEC}.yaml"
    experiment = load_spec(spec, experiments=settings.experiments, overlay=settings.overlay).experiment
    plan = make_plan(experiment, find_sources(experiment, None, settings), settings)
    store, catalog = open_store(settings), Catalog.open(settings.catalog_url)
    todo = [(step, why) for step, why in explain(plan, store, catalog) if why]
    address = start()
    url = without_login(address)
    if not todo:
        console.print("[bold green]Nothing to do:[/] every step is cached, nothing has changed since the last run.\n")
        show_result(plan, store, catalog, url, console, commands)
        return
    console.print(f"[bold]{SPEC}[/]: {len(todo)} of {len(plan.steps)} steps to run, the rest is cached")
    for step, why in todo:
        console.print(Text(f"  {step.id}: {why}", style="dim"))
    started = time.monotonic()
    state, run_id = _run(plan, address, settings, console)
    if state != "success":
        _explain_failure(catalog, run_id, url, commands.again)
    console.print(
        f"\n[bold green]Done[/] in {seconds_text(time.monotonic() - started)}, from the run's start to the result.\n"
    )
    show_result(plan, store, catalog, url, console, commands)


def _run(plan: Plan, url: str, settings: Settings, console: Console) -> tuple[str, str]:
    """Trigger the DAG, or find the run of an interrupted demo, and follow it: (Airflow's state of the run, run id)."""
    catalog = Catalog.open(settings.catalog_url)
    with AirflowClient(url) as client:
        url = client.url
        _wait_for_dag(client)
        run_id = next((run["dag_run_id"] for run in client.runs(SPEC) if run["state"] in UNDER_WAY), None)
        if run_id is None:
            run_id = client.trigger(SPEC, run_id=f"demo__{datetime.now(UTC).strftime('%Y-%m-%dT%H-%M-%S')}")
            console.print(f"Airflow runs it: [bold]{url}/dags/{SPEC}/runs/{run_id}[/]\n")
        else:
            console.print(f"Airflow is at it already: [bold]{url}/dags/{SPEC}/runs/{run_id}[/]\n")
        return follow(client, catalog, SPEC, run_id, console), run_id


def _wait_for_dag(client: AirflowClient) -> None:
    until = time.monotonic() + _APPEAR_SECONDS
    while client.dag(SPEC) is None:
        if time.monotonic() > until:
            errors = "\n".join(str(error["stack_trace"]) for error in client.import_errors())
            raise fail(
                f"the DAG `{SPEC}` did not appear in Airflow within {_APPEAR_SECONDS:.0f} s. Its import errors:\n"
                f"{errors or '(none; see .skillsengine/airflow/logs)'}"
            )
        time.sleep(_POLL_SECONDS)


def _explain_failure(catalog: Catalog, run_id: str, url: str, again: str) -> None:
    run = catalog.get_run(SPEC, run_id)
    failed = [step for step in catalog.steps_of(run.id) if step.state == "failed"] if run else []
    told = (
        "\n".join(f"{step.step_id}: {step.error}" for step in failed) or "no stage failed by itself; see the task's log"
    )
    raise fail(
        f"the run failed.\n{told}\nThe logs: {url}/dags/{SPEC}/runs/{run_id}\n"
        f"What was finished is kept: mend the cause and run `{again}` again."
    ) from None
