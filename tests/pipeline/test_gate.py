"""The gate on hand-written cells: who beats whom, on the rows both were scored on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.gate import judge
from skillsengine.pipeline.plan import PlanError, Step
from skillsengine.pipeline.run import Run, open_run, run_promote
from skillsengine.storage.artifact import Manifest
from tests.pipeline.project import make_project, tiny_experiment

GOLD = ["a", "b"]


def cell(run: Run, step: Step, predicted: dict[str, list[str]], gold: list[str] | None = GOLD) -> None:
    """Publish a cell whose rows are `id -> predicted`, all with the gold a, b."""
    with run.store.building("evaluate", step.digest) as out:
        rows = [
            {"id": name, "key": name, "gold": gold, "predicted": skills, "raw": "", "parsed": True}
            for name, skills in predicted.items()
        ]
        (out / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest = Manifest("evaluate", 1, step.key, step.digest, step.config, step.inputs, {})
        run.store.publish(out, manifest)


def register(run: Run) -> int:
    """A ready version of the run's adapter."""
    step = run.plan.step("finetune")
    row = run.catalog.allocate_version(
        "tiny",
        step.digest,
        experiment="tiny",
        partition=run.partition,
        run_id=run.id,
        spec=run.experiment.model_dump(mode="json"),
    )
    run.catalog.publish_version("tiny", row.number, f"r{row.number}", "/nowhere", {}, {})
    return row.number


@pytest.fixture
def run(tmp_path: Path) -> Run:
    settings = make_project(tmp_path / "project", base=False)
    return open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings)


def verdict(run: Run, champion: list[Step] | None = None) -> dict[str, Any]:
    return judge(run.experiment, run.plan, run.store, run.catalog, champion or [])


def test_the_first_version_must_beat_the_untuned_base(run: Run) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), {"1": ["a", "b"], "2": []})
    cell(run, run.plan.step("evaluate[adapter]"), {"1": ["a", "b"], "2": ["c"]})
    result = verdict(run)
    assert result["verdict"] == "keep"
    assert result["reason"] == "tiny@1 has f1 0.571 against 0.667 of the untuned base: no better"


def test_a_better_first_version_becomes_champion(run: Run) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), {"1": ["a"], "2": []})
    cell(run, run.plan.step("evaluate[adapter]"), {"1": ["a", "b"], "2": ["a"]})
    result = verdict(run)
    assert result["verdict"] == "promote"
    assert result["reason"].endswith("of the untuned base, and there is no champion yet")
    run.catalog.set_run_data(run.id, gate=result)
    assert run_promote(run)["moved"] is True
    assert run.catalog.alias("tiny", "champion") == 1
    assert run_promote(run) == {"moved": False, "reason": "tiny@1 is the champion already"}


def test_without_labels_nobody_wins(run: Run) -> None:
    register(run)
    for subject in ("base", "adapter"):
        cell(run, run.plan.step(f"evaluate[{subject}]"), {"1": ["a"], "2": []}, gold=None)
    result = verdict(run)
    assert (result["verdict"], result["reason"]) == ("keep", f"partition {run.partition} has no labels")
    assert result["scores"] == {"rows": 0}
    run.catalog.set_run_data(run.id, gate=result)
    assert run_promote(run) == {"moved": False, "reason": f"partition {run.partition} has no labels"}


def test_only_rows_that_both_were_scored_on_count(run: Run) -> None:
    register(run)
    # The base fails on a row that the challenger was not scored on: it must not help the challenger.
    cell(run, run.plan.step("evaluate[base]"), {"1": ["a", "b"], "2": []})
    cell(run, run.plan.step("evaluate[adapter]"), {"1": ["a", "b"]})
    result = verdict(run)
    assert result["scores"]["rows"] == 1
    assert result["verdict"] == "keep"


def test_a_challenger_must_beat_the_champion(run: Run) -> None:
    old = run.catalog.allocate_version("tiny", "0ld", experiment="tiny", partition="2026-02", run_id=run.id, spec={})
    run.catalog.publish_version("tiny", old.number, "r", "/nowhere", {}, {})
    run.catalog.set_alias("tiny", "champion", old.number, reason="first")
    register(run)
    cell(run, run.plan.step("evaluate[base]"), {"1": []})
    cell(run, run.plan.step("evaluate[adapter]"), {"1": ["a"]})
    champion = run.plan.step("evaluate[lexicon]")
    cell(run, champion, {"1": ["a", "b"]})
    result = verdict(run, [champion])
    assert result["verdict"] == "keep"
    assert result["reason"].endswith("against 1.000 of the champion tiny@1, on 1 rows: no better than the champion")


def test_a_backfilled_run_never_promotes(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", base=False)
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings, trigger="backfill")
    register(run)
    run.catalog.set_run_data(run.id, gate={"verdict": "promote", "reason": "better", "number": 1, "champion": None})
    assert run_promote(run) == {"moved": False, "reason": "a backfilled retrain registers but never promotes"}
    assert run.catalog.alias("tiny", "champion") is None


def test_a_missing_cell_is_told(run: Run) -> None:
    register(run)
    with pytest.raises(
        PlanError, match=r"evaluate\[adapter\] is not in the store .*: run stage `evaluate` of this run first"
    ):
        verdict(run)
