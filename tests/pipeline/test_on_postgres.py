"""A whole run with its catalog in PostgreSQL, whose server goes away and comes back while the adapter is trained."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from skillsengine.pipeline.matrix import build_matrix
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import finish_run, open_run, run_stage
from skillsengine.spec.schema import STAGES
from skillsengine.stages.contract import Progress
from skillsengine.storage.catalog import Catalog
from tests.pipeline.project import make_project, tiny_experiment
from tests.postgres import Server


class Back(logging.Handler):
    """Starts the server again as soon as the work is seen to wait for it: in its own thread, which waits meanwhile."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.waited_for = server, 0

    def emit(self, record: logging.LogRecord) -> None:
        if "Trying for 300 seconds (SKILLSENGINE_CATALOG_WAIT)" in record.getMessage():
            self.waited_for += 1
            self.server.start()


@pytest.mark.nightly
def test_a_training_outlives_a_restart_of_the_catalogs_server(tmp_path: Path, postgres: Server) -> None:
    back, stopped = Back(postgres), []

    def stop(step: str, progress: Progress) -> None:
        """At the first numbers of the training, before its first checkpoint."""
        if step == "finetune" and progress.metrics and not stopped:
            stopped.append(progress.text)
            postgres.stop()

    log = logging.getLogger("skillsengine.storage.patient")
    with postgres.database() as url:
        settings = replace(make_project(tmp_path / "project"), catalog_url=url)
        run = open_run(tiny_experiment(), dag_id="tiny", run_id="first", settings=settings)
        log.addHandler(back)
        try:
            for stage in STAGES:
                run_stage(run, stage, stop)
        finally:
            log.removeHandler(back)
            if not back.waited_for:
                postgres.stop()
                postgres.start()
        assert (len(stopped), back.waited_for) == (1, 1)
        run_gate(run)
        run_promote(run)
        finish_run(run, "success")
        catalog = Catalog.open(url)
        version = catalog.resolve("tiny", "latest")
        assert (version.number, version.state) == (1, "ready")
        [trained] = [step for step in catalog.steps_of(run.id) if step.stage == "finetune"]
        assert (trained.state, trained.attempts, trained.error) == ("done", 1, None)
        assert {cell.kind for cell in catalog.cells("tiny")} == {"adapter", "base", "lexicon"}
        assert catalog.last_runs()["tiny"].state == "success"
        assert "tiny" not in catalog.champions(), "of so few labels the gate makes nothing"
        assert catalog.busy_since(catalog.run_by_id(run.id).started)["tiny"].gpu_seconds == 0.0
        assert build_matrix(tiny_experiment(), settings, catalog).cells
        catalog.close()
