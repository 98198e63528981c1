"""A run from its first stage to its end, without the Airflow around it."""

from __future__ import annotations

from typing import Any

from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES, Experiment


def run_whole(experiment: Experiment, settings: Settings, run_id: str, **asked: Any) -> Run:
    """A finished run; `asked` is what `open_run` takes beside these."""
    run = open_run(experiment, dag_id=experiment.name, run_id=run_id, settings=settings, **asked)
    for stage in STAGES:
        run_stage(run, stage)
    run_gate(run)
    run_promote(run)
    finish_run(run, "success")
    return run
