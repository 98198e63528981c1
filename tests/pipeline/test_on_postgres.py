"""A whole run with its catalog in PostgreSQL, whose server goes away and comes back while the adapter is trained."""

from __future__ import annotations

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


def test_a_training_outlives_a_restart_of_the_catalogs_server(
    tmp_path: Path, postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres.database() as url:
        settings = replace(make_project(tmp_path / "project"), catalog_url=url)
        run = open_run(tiny_experiment(), dag_id="tiny", run_id="first", settings=settings)
        away: list[str] = []

        def restart(step: str, progress: Progress) -> None:
            """At the first step of the training, right after it was told, and before its first checkpoint."""
            if step == "finetune" and progress.metrics and not away:
                away.append(progress.text)
                postgres.stop()
            elif away and len(away) == 1:
                away.append(progress.text)
                postgres.start()

        try:
            for stage in STAGES:
                run_stage(run, stage, restart)
        finally:
            if len(away) == 1:
                postgres.start()
        run_gate(run)
        run_promote(run)
        finish_run(run, "success")
        assert len(away) == 2, "the server was away between two moments of the training"
        assert "finetune: the progress is not told: the catalog postgresql" in caplog.text
        catalog = Catalog.open(url)
        version = catalog.resolve("tiny", "champion")
        assert (version.number, version.state) == (1, "ready")
        [trained] = [step for step in catalog.steps_of(run.id) if step.stage == "finetune"]
        assert (trained.state, trained.attempts, trained.error) == ("done", 1, None)
        assert {cell.kind for cell in catalog.cells("tiny")} == {"adapter", "base", "lexicon"}
        assert catalog.last_runs()["tiny"].state == "success"
        assert catalog.champions()["tiny"].number == 1
        assert catalog.busy_since(catalog.run_by_id(run.id).started)["tiny"].gpu_seconds == 0.0
        assert build_matrix(tiny_experiment(), settings).rows
        catalog.close()
