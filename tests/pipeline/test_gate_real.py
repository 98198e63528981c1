"""The gate on versions that were really trained: it makes the cells that it lacks, each version by its own base and prompt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.cells import CellLayout
from skillsengine.pipeline.plan import PlanError, find_sources
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES, Experiment
from tests.pipeline.gating import answers, challenger, said
from tests.pipeline.project import make_project, tiny_experiment
from tests.tiny import make_tiny_base
from tests.tracking.wandb_log import told

MONTHS = ("2025-10", "2025-11", "2025-12", "2026-01", "2026-02", "2026-03")
SHARED: dict[str, Any] = {
    "register": {"model": "skills"},
    "gate": {"min_gold_skills": 30},  # a month has 16
    "data": {"source": "data/ads/{partition}.jsonl", "window": 1},
    "train": {"epochs": 1, "per_device_batch_size": 4, "sample_predictions": 0},
}


def trained(experiment: Experiment, settings: Settings, partition: str) -> Run:
    run = open_run(experiment, dag_id=experiment.name, run_id=partition, settings=settings, partition=partition)
    for stage in STAGES:
        run_stage(run, stage)
    return run


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = make_project(tmp_path_factory.mktemp("real") / "project", MONTHS)
    make_tiny_base(settings.project / "other", seed=7)
    return settings


@pytest.mark.nightly
def test_each_is_scored_by_its_own_base_and_prompt_and_a_champion_that_is_gone_is_told(settings: Settings) -> None:
    """In one test, since each step begins where the last one ended."""
    one = tiny_experiment("one", **SHARED)
    first = trained(one, settings, "2026-02")
    verdict = run_gate(first)
    assert [part["partition"] for part in verdict["scores"]["partitions"]] == ["2026-02", "2025-12"]
    run_promote(first)
    first.catalog.set_alias("skills", "champion", 1, reason="by hand")

    prompt = {"template": "Ad: {text}\nSkills:"}
    second = trained(tiny_experiment("two", base={"model": "other"}, prompt=prompt, **SHARED), settings, "2026-03")
    told: list[str] = []
    verdict = run_gate(second, lambda step, progress: told.append(step))
    assert (verdict["champion"], verdict["opponent"]) == (1, "skills@1")
    assert [part["partition"] for part in verdict["scores"]["partitions"]] == ["2026-03", "2025-12"]
    assert "evaluate[skills@2 on 2025-12]" in told and "evaluate[skills@1 on 2026-03]" in told
    assert "evaluate[skills@1 on 2025-12]" not in told, "the first one's gate has made it"
    champion = first.catalog.resolve("skills", "1")
    own = CellLayout(one, settings, first.options, champion)
    for key in ("2025-12", "2026-03"):
        files = find_sources(one, key, settings, trains=False).files[key]
        step = own.steps(key, files)[1]
        assert second.store.get("evaluate", step.digest) is not None, "the very cell that its own experiment would make"
    made = [cell for cell in first.catalog.cells(partition="2025-12") if cell.kind == "adapter"]
    assert len(made) == 3 and all("psi" in cell.metrics["drift"]["length"] for cell in made), "as any other cell has"
    told.clear()
    assert run_gate(second, lambda step, progress: told.append(step)) == verdict and told == [], "nothing is done twice"

    third = trained(tiny_experiment("three", **SHARED), settings, "2026-01")
    adapter = third.store.get("finetune", champion.adapter_digest)
    assert adapter is not None
    shutil.rmtree(adapter.path)
    with pytest.raises(PlanError, match="the champion skills@1 cannot be scored on 2025-11, so skills@3 is not judged"):
        run_gate(third)
    assert third.catalog.alias("skills", "champion") == 1


@pytest.mark.nightly
def test_the_verdict_is_a_small_run_of_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = make_project(tmp_path / "project", base=False)
    run = open_run(tiny_experiment(tracking={"mode": "offline"}), dag_id="tiny", run_id="r", settings=settings)
    answers(run, None, said(5))
    answers(run, challenger(run), said(30))
    verdict = run_gate(run)
    (folder,) = (settings.home / "wandb").glob("offline-run-*")
    found = told(folder)
    assert [found.run[key] for key in ("display_name", "job_type", "run_group")] == ["gate", "gate", "tiny/r"]
    summary = found.summary
    assert summary["verdict"] == "promote" and summary["reason"] == verdict["reason"]
    assert summary["challenger"] == pytest.approx(verdict["scores"]["challenger"])
    assert any("partitions.nrows" in moment for moment in found.history), found.history
