"""What each task of an experiment does: a thin layer over skillsengine.pipeline.run.

The pipeline is imported inside the functions: parsing a DAG file must stay light.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillsengine.airflow.connections import airflow_connect
from skillsengine.airflow.form import Kind
from skillsengine.airflow.request import Request, RequestError
from skillsengine.airflow.stopping import stopping_here
from skillsengine.airflow.summary import scores_told, steps_told
from skillsengine.settings import Settings, SettingsError, load_settings
from skillsengine.spec.schema import STAGES, Experiment
from skillsengine.stages.contract import Limit, Progress, StageError
from skillsengine.tracking.hub import PushError

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

Observer = Callable[[str, Progress], None]
Result = dict[str, Any]
Work = Callable[["Run", Observer], Result]


def settings_for(project: str) -> Settings:
    """The settings of this worker: the environment decides, and the project that the DAG file was compiled from helps
    out.

    Raises SettingsError if there is no project either way.
    """
    try:
        return load_settings()
    except SettingsError:
        if (Path(project) / "experiments").is_dir():
            return load_settings(Path(project))
        raise


def permanent(error: BaseException) -> bool:
    """Whether a retry cannot heal `error`: the spec, the data or the request has to change first."""
    from skillsengine.pipeline.plan import PlanError
    from skillsengine.sources.errors import SourceError
    from skillsengine.spec.errors import SpecError
    from skillsengine.storage.catalog import CatalogError

    if isinstance(error, PushError):
        return not error.retry
    return isinstance(error, (StageError, PlanError, SpecError, CatalogError, SourceError, SettingsError, RequestError))


def open_for(request: Request, experiment: Experiment, settings: Settings, kind: Kind) -> Run:
    """The pinned run of a DAG run; the first task's call pins it. Credentials come from Airflow's connections."""
    from skillsengine.pipeline.plan import RunOptions
    from skillsengine.pipeline.run import open_run

    quiet()
    return open_run(
        experiment,
        dag_id=request.dag_id,
        run_id=request.run_id,
        settings=settings,
        partition=request.partition,
        options=RunOptions(limit=Limit(request.limit) if request.limit else None),
        force=request.force,
        trigger=request.trigger,
        kind=kind,
        versions=request.versions,
        cells=request.cells,
        overrides=request.overrides,
        connect=airflow_connect,
        stopping=stopping_here(),
    )


def quiet() -> None:
    """Libraries that would tell their own doings in a task's log."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the catalog is opened first thing


def partitions_there(experiment: Experiment, settings: Settings) -> list[str]:
    """The partitions of a dated experiment that have data now. Raises SourceError and SourceUnavailable."""
    from skillsengine.sources.find import Source
    from skillsengine.storage.catalog import Catalog

    # Only a date column has something to remember from one look to the next.
    memory = Catalog.open(settings.catalog_url) if experiment.data.date_column is not None else None
    source = Source(experiment.data, settings.project, settings.allowed_roots, connect=airflow_connect, memory=memory)
    return source.partitions()


def stage(name: str) -> Work:
    """The work of one stage."""

    def work(run: Run, observer: Observer) -> Result:
        from skillsengine.pipeline.run import run_stage

        return run_stage(run, name, observer)

    return work


def finetune(run: Run, observer: Observer) -> Result:
    """The training; of a run that was pinned as a sweep, though its DAG has no trials by now, all of them and the choice."""
    from skillsengine.pipeline.run import run_stage

    trained = run_stage(run, "finetune", observer)
    if run.plan.adapter.stage == "select":
        trained["steps"] += run_stage(run, "select", observer)["steps"]
    return trained


def trials(run: Run, observer: Observer) -> Result:
    """The ids of the run's trainings, one where it was pinned before there was a sweep."""
    return {"trials": [step.id for step in run.plan.of("finetune")]}


def trial(run: Run, step_id: str, observer: Observer) -> Result:
    """The work of one trial."""
    from skillsengine.pipeline.run import run_stage

    return run_stage(run, "finetune", observer, only=step_id)


def gate(run: Run, observer: Observer) -> Result:
    from skillsengine.pipeline.promotion import run_gate

    return run_gate(run, observer)


def promote(run: Run, observer: Observer) -> Result:
    from skillsengine.pipeline.promotion import run_promote

    return run_promote(run, observer)


def push(run: Run, observer: Observer) -> Result:
    from skillsengine.pipeline.push import run_push

    return run_push(run)


def score(run: Run, observer: Observer) -> Result:
    """Score the selected versions. A scheduled run of an experiment that has registered nothing yet has nothing to
    do."""
    from skillsengine.pipeline.evaluations import run_evaluation

    model = run.experiment.model_name
    if run.trigger != "manual" and not run.catalog.versions(model):
        return {"partition": run.partition, "cells": {}, "note": f"{model} has no version yet: nothing to score"}
    return run_evaluation(run, observer)


RETRAIN: Mapping[str, Work] = {
    **{name: stage(name) for name in STAGES},
    "finetune": finetune,
    "gate": gate,
    "promote": promote,
}
"""The tasks of the retrain DAG, in their order."""
PUSH: Mapping[str, Work] = {"push": push}
"""The task beside them that an experiment with `register.hub` has."""
SWEEP: Mapping[str, Work] = {"trials": trials, "select": stage("select")}
"""The tasks around `finetune` that an experiment with a `sweep` has."""
EVALUATIONS: Mapping[str, Work] = {"score": score}
"""The tasks of the evaluations DAG."""


def describe(result: Mapping[str, Any]) -> list[str]:
    """A task's result as lines for people."""
    lines = steps_told(result.get("steps", ()))
    lines += [f"{lost['id']}: diverged: {lost['reason']}" for lost in result.get("diverged", ())]
    lines += [f"to train: {trial}" for trial in result.get("trials", ())]
    lines += scores_told(result.get("cells", {}) | result.get("baselines", {}))
    lines += [f"{name}: {words}" for name, words in result.get("drift", {}).items()]
    if result.get("passed_over"):
        lines.append(f"passed over, as they name no version: {', '.join(result['passed_over'])}")
    if "verdict" in result:
        lines.append(f"{result['verdict']}: {result['reason']}")
    if "pushed" in result:
        there = "stands there already" if result.get("url") else str(result.get("reason"))
        lines.append(f"pushed to {result['url']}" if result["pushed"] else f"not pushed: {there}")
    if "moved" in result:
        lines.append(f"champion is now {result['version']}" if result["moved"] else f"not moved: {result['reason']}")
    if "cached" in result:
        lines.append(filled(result))
    lines += [f"{name}: not scored: {reason}" for name, reason in result.get("not_scored", {}).items()]
    lines += [str(result[key]) for key in ("skipped", "note") if key in result]
    return lines


def filled(result: Mapping[str, Any]) -> str:
    """What came of a list of cells, in a line."""
    from skillsengine.pipeline.evaluations import describe_filled

    return describe_filled(result)
