"""The last task of every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow import tasks
from skillsengine.airflow.dag import build
from skillsengine.storage.catalog import Catalog
from tests.airflow.support import make_context
from tests.pipeline.project import make_project, tiny_experiment

BEFORE = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    monkeypatch.delenv("SKILLSENGINE_AIRFLOW_URL", raising=False)
    return settings.project


def report(
    project: Path, states: dict[str, str], error: tuple[str, str] | None = None, **context: Any
) -> dict[str, Any]:
    retrain, _ = build(tiny_experiment().model_dump_json(), source="s", digest="d", project=str(project))
    given = make_context(states=states, **context)
    if error:
        given["ti"].xcoms[error[0], tasks.ERROR_KEY] = error[1]
    result: dict[str, Any] = retrain.get_task("report").execute(given)
    return result


def row(project: Path) -> Any:
    return Catalog.open(f"sqlite:///{project / '.skillsengine' / 'catalog.db'}").get_run("tiny", "manual__1")


def test_a_failed_stage_closes_the_run_with_what_it_said(project: Path) -> None:
    states = {"format": "success", "profile": "success", "finetune": "failed"} | dict.fromkeys(
        BEFORE[3:], "upstream_failed"
    )
    result = report(project, states, ("finetune", "the base is not there"))
    assert result == {"state": "failed", "note": "failed: finetune: the base is not there"}
    closed = row(project)
    assert (closed.state, closed.note) == ("failed", result["note"])
    assert closed.error == "finetune: the base is not there" and closed.finished


def test_a_task_that_was_killed_could_say_nothing(project: Path) -> None:
    result = report(project, dict.fromkeys(BEFORE, "failed"))
    assert result["note"] == "failed: format: see its log; the process was ended before it could say why"


def test_a_run_that_could_not_be_opened_has_a_note_too(project: Path) -> None:
    states = {"format": "failed"} | dict.fromkeys(BEFORE[1:], "upstream_failed")
    result = report(project, states, ("format", "no data for 2025-01"), params={"partition": "2025-01"})
    assert result == {"state": "failed", "note": "failed: format: no data for 2025-01"}
    assert row(project) is None


def test_a_task_that_was_skipped_by_hand_is_no_success(project: Path) -> None:
    states = dict.fromkeys(BEFORE, "success") | {"gate": "skipped"}
    assert report(project, states)["note"] == "failed: gate: did not run (skipped)"


def test_success_without_a_version(project: Path) -> None:
    result = report(project, dict.fromkeys(BEFORE, "success"))
    assert result == {"state": "success", "note": result["note"]} and result["note"].startswith(
        "done; nothing was registered"
    )
    assert row(project).state == "success"


def test_an_airflow_that_does_not_answer_fails_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("skillsengine.airflow.client._WAITS", (0.0,))
    assert report(project, dict.fromkeys(BEFORE, "success"))["state"] == "success"
    assert "the note stands in this log and in the catalog only: Airflow at http://127.0.0.1:9" in caplog.text
