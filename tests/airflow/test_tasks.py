"""The tasks of an experiment: thin over the pipeline, clear when they fail."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from skillsengine.airflow import tasks, work
from skillsengine.airflow.dag import build
from skillsengine.settings import SettingsError
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import HandedOver
from skillsengine.storage.catalog import Catalog
from tests.airflow.support import make_context
from tests.pipeline.project import make_project, tiny_experiment, write_month


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    # A test process is no task: it does not end with whoever started it.
    monkeypatch.setattr(tasks, "die_with_parent", lambda parent: None)
    return settings.project


def dags(project: Path, **sections: Any) -> tuple[DAG, DAG]:
    experiment = tiny_experiment(**sections)
    return build(experiment.model_dump_json(), source="experiments/tiny.yaml", digest="d" * 64, project=str(project))


def catalog_of(project: Path) -> Catalog:
    return Catalog.open(f"sqlite:///{project / '.skillsengine' / 'catalog.db'}")


def test_a_stage_runs_and_leaves_a_small_summary(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="skillsengine.airflow")
    retrain, _ = dags(project)
    result = retrain.get_task("format").execute(make_context())
    assert [step["id"] for step in result["steps"]] == ["format[2026-01]", "format[2026-02]", "format[2026-03]"]
    assert all(set(step) == {"id", "digest", "cached", "seconds", "summary"} for step in result["steps"])
    again = retrain.get_task("format").execute(make_context(run_id="manual__2"))
    assert all(step["cached"] for step in again["steps"])
    said = [record.getMessage() for record in caplog.records]
    assert "format: 3 cached" in said and "  rows               8        8        8" in said
    assert any("format[2026-01]: " in line and "%" in line for line in said), "progress is told"


def test_a_training_that_hands_over_is_scheduled_again_and_has_not_failed(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What `finetune` raises in a worker that was told to stop; tests/stages/test_resume.py sees it do so."""
    caplog.set_level(logging.INFO, logger="skillsengine.airflow")
    retrain, _ = dags(project)
    retrain.get_task("format").execute(make_context())
    context = make_context()

    def handed_over(*_: Any) -> Any:
        raise HandedOver("this worker was told to stop: step 7 of 12")

    monkeypatch.setattr("skillsengine.stages.profile.run", handed_over)
    with pytest.raises(AirflowRescheduleException) as raised:
        retrain.get_task("profile").execute(context)
    assert raised.value.reschedule_date <= datetime.now(UTC) and raised.value.__context__ is None
    assert context["ti"].xcoms == {}, "no error for the report"
    assert "this worker was told to stop: step 7 of 12" in [record.getMessage() for record in caplog.records]
    run = catalog_of(project).get_run("tiny", "manual__1")
    assert run is not None and run.state == "running"
    (step,) = [step for step in catalog_of(project).steps_of(run.id) if step.stage == "profile"]
    assert (step.state, step.error) == ("running", None)


def test_the_run_keeps_the_spec_that_its_first_task_saw(project: Path) -> None:
    first, _ = dags(project, train={"epochs": 1, "learning_rate": 0.5})
    first.get_task("format").execute(make_context())
    later, _ = dags(project, train={"epochs": 9, "learning_rate": 0.5})
    later.get_task("format").execute(make_context())
    run = catalog_of(project).get_run("tiny", "manual__1")
    assert run is not None and run.spec["train"]["epochs"] == 1 and run.trigger == "manual"


def test_an_override_reaches_the_run_and_every_log(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="skillsengine.airflow")
    retrain, _ = dags(project)
    retrain.get_task("format").execute(make_context(params={"train.epochs": 3}, run_type="backfill", key="2026-03"))
    run = catalog_of(project).get_run("tiny", "manual__1")
    assert run is not None and (run.spec["train"]["epochs"], run.trigger) == (3, "backfill")
    assert "overridden for this run: train.epochs: 1.0 -> 3.0" in caplog.text


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"params": {"partition": "2025-07"}}, "no data for 2025-07 at data/ads/2025-07.jsonl (there is data for"),
        ({"conf": {"limits": 3}}, "conf: unknown key `limits`; did you mean `limit`?"),
        ({"params": {"partition": "2026-01"}}, "no data to train on"),
        ({"params": {"lora.r": 4.5}}, "conf: lora.r: expected an int >= 1 and <= 1024, found 4.5\n"),
    ],
)
def test_what_a_retry_cannot_heal_fails_for_good(project: Path, context: dict[str, Any], text: str) -> None:
    retrain, _ = dags(project)
    given = make_context(**context)
    with pytest.raises(AirflowFailException) as caught:
        retrain.get_task("format").execute(given)
    assert text in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None, "the text alone, no other traceback"
    assert text in given["ti"].xcoms[None, tasks.ERROR_KEY], "the report finds it there"


def test_a_stage_error_fails_for_good(project: Path) -> None:
    (project / "data" / "ads" / "2026-03.jsonl").write_text('{"id": 1}\n')
    retrain, _ = dags(project)
    with pytest.raises(AirflowFailException, match=r"2026-03\.jsonl"):
        retrain.get_task("format").execute(make_context())


def test_everything_else_is_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Any, observer: Any) -> dict[str, Any]:
        raise ConnectionError("postgresql://ann:geheim@db is away")

    monkeypatch.setattr(work, "RETRAIN", {**work.RETRAIN, "format": broken})
    retrain, _ = dags(project)
    given = make_context()
    with pytest.raises(ConnectionError):
        retrain.get_task("format").execute(given)
    assert given["ti"].xcoms[None, tasks.ERROR_KEY] == "postgresql://**********@db is away"


def test_trials_are_those_of_the_run_as_it_was_pinned(project: Path) -> None:
    write_month(project / "data" / "ads" / "2026-04.jsonl", "2026-04")
    swept, _ = dags(project, sweep={"lora.r": [2, 4]})
    assert swept.get_task("trials").execute(make_context()) == ["finetune[r=2]", "finetune[r=4]"]
    edited, _ = dags(project, sweep={"lora.r": [2, 4, 8]})
    assert edited.get_task("trials").execute(make_context()) == ["finetune[r=2]", "finetune[r=4]"]
    assert len(edited.get_task("trials").execute(make_context(run_id="next"))) == 3
    plain, _ = dags(project)
    with pytest.raises(AirflowFailException, match="run stage `format` of this run first"):
        plain.get_task("finetune").execute(make_context())  # it would train all, and select


def test_a_trial_that_diverged_is_skipped_with_its_reason(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def trial(run: Any, step_id: str, observer: Any) -> dict[str, Any]:
        asked.append(step_id)
        return {"steps": [], "diverged": [{"id": step_id, "reason": "the training loss is nan"}]}

    monkeypatch.setattr(work, "trial", trial)
    swept, _ = dags(project, sweep={"lora.r": [2, 4]})
    task = swept.get_task("finetune").unmap({"trial": "finetune[r=4]"})
    with pytest.raises(AirflowSkipException, match="the training loss is nan"):
        task.execute(make_context())
    assert asked == ["finetune[r=4]"]


def waiting(project: Path, **sections: Any) -> Any:
    retrain, _ = dags(project, schedule="partition", start_date="2026-01-01", **sections)
    return retrain.get_task("wait_for_data")


def test_a_scheduled_run_waits_for_its_data(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="skillsengine.airflow")
    task, context = waiting(project), make_context(run_type="scheduled", key="2026-04")
    assert task.poke(context) is False
    assert "no data for 2026-04 at data/ads/2026-04.jsonl yet; looking again in 60 s, for 3d at most" in caplog.text
    write_month(project / "data" / "ads" / "2026-04.jsonl", "2026-04")
    assert task.poke(context) is True


@pytest.mark.parametrize("run_type", ["manual", "backfill"])
def test_by_hand_nobody_waits(project: Path, run_type: str) -> None:
    assert waiting(project).poke(make_context(run_type=run_type, key="2026-04")) is True


def test_waiting_gives_the_slot_back_and_ends_with_a_clear_text(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, context = waiting(project), make_context(run_type="scheduled", key="2026-04")
    context["ti"].get_first_reschedule_date = lambda context: None
    with pytest.raises(AirflowRescheduleException):
        task.execute(context)

    def too_long(self: Any, context: Any) -> None:
        raise AirflowSensorTimeout("Sensor has timed out; run duration of 259200.1 seconds exceeds 259200.0.")

    monkeypatch.setattr("airflow.sdk.BaseSensorOperator.execute", too_long)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(context)
    assert str(caught.value) == (
        "no data for 2026-04 at data/ads/2026-04.jsonl after waiting for 3d. Put the data there and clear this task to go "
        "on, or raise data.wait in the spec. This task's log tells what each look has found."
    )
    assert context["ti"].xcoms[None, tasks.ERROR_KEY] == str(caught.value)


def test_waiting_refuses_a_bad_request_at_once(project: Path) -> None:
    with pytest.raises(AirflowFailException, match="unknown key `x`"):
        waiting(project).poke(make_context(run_type="scheduled", key="2026-04", conf={"x": 1}))


def test_a_scheduled_evaluation_with_nothing_registered_has_nothing_to_do(project: Path) -> None:
    _, evaluations = dags(project)
    result = evaluations.get_task("score").execute(
        make_context("tiny.evaluations", run_type="scheduled", key="2026-03", params={"versions": ["latest"]})
    )
    assert result["cells"] == {} and result["note"] == "tiny has no version yet: nothing to score"


def test_an_evaluation_by_hand_with_nothing_registered_says_so(project: Path) -> None:
    _, evaluations = dags(project)
    with pytest.raises(AirflowFailException, match="tiny: none of latest names a registered version"):
        evaluations.get_task("score").execute(make_context("tiny.evaluations", params={"versions": ["latest"]}))


def test_a_new_version_is_an_asset_event_and_a_cached_one_is_none(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[tuple[Any, Any]] = []

    class Event:
        def add(self, asset: Any, extra: Any) -> None:
            added.append((asset, extra))

    retrain, _ = dags(project)
    register = retrain.get_task("register")
    step = {"id": "register", "digest": "d", "seconds": 1.0, "summary": {"version": "tiny@1"}}
    for cached in (True, False):
        result = {"steps": [{**step, "cached": cached}]}
        monkeypatch.setattr(work, "RETRAIN", {**work.RETRAIN, "register": lambda run, observer, r=result: r})
        register.execute(make_context() | {"outlet_events": {tasks.model_alias("tiny"): Event()}})
    assert [(asset.name, extra) for asset, extra in added] == [("skillsengine://tiny", {"version": "tiny@1"})]
    assert [outlet.name for outlet in register.outlets] == ["skillsengine:tiny"]


def test_the_environment_names_the_project_and_the_compiled_file_helps_out(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work.settings_for("/nowhere").project == project
    monkeypatch.delenv("SKILLSENGINE_PROJECT")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir("/")
    assert work.settings_for(str(project)).project == project
    with pytest.raises(SettingsError, match="SKILLSENGINE_PROJECT"):
        work.settings_for("/nowhere")


def test_results_for_people() -> None:
    result = {
        "steps": [
            {"id": "profile", "cached": False, "seconds": 1.26, "summary": {"rows": 3, "share": 0.12345, "x": {}}}
        ],
        "verdict": "keep",
        "reason": "no better",
    }
    assert work.describe(result) == ["profile: 1.3 s", "  rows        3", "  share  0.1235", "keep: no better"]
    assert work.describe({"moved": False, "reason": "a backfill"}) == ["not moved: a backfill"]
    assert work.describe({"moved": True, "version": "tiny@2", "reason": ""}) == ["champion is now tiny@2"]
    cell = {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "rows": 3}
    scores = {"cells": {"tiny@1": cell}, "passed_over": ["champion"]}
    assert work.describe(scores) == [
        "              tiny@1",
        "  rows             3",
        "  f1    0.500 ±0.100",
        "passed over, as they name no version: champion",
    ]


def test_every_task_of_the_dags_has_its_work() -> None:
    assert isinstance(tiny_experiment(), Experiment)
    assert [*work.RETRAIN] == ["format", "profile", "finetune", "evaluate", "register", "gate", "promote"]
