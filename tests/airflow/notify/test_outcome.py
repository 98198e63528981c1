"""What the report tells of runs that really ran, without the Airflow around them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.notify import send as send_module
from skillsengine.airflow.notify.message import About
from skillsengine.airflow.notify.outcome import tell
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES, Experiment
from tests.pipeline.project import make_project, tiny_experiment
from tests.sinks import PostSink

ABOUT = About("tiny", "tiny", "manual__1", "manual", "2026-03")
TOLD: dict[str, Any] = {"notify": {"connection": "team"}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_project(tmp_path_factory.mktemp("outcome") / "project")


def ran(settings: Settings, run_id: str, **options: Any) -> Run:
    """A run that went through all stages; the second one finds them done."""
    run = open_run(tiny_experiment(**TOLD), dag_id="tiny", run_id=run_id, settings=settings, **options)
    for stage in STAGES:
        run_stage(run, stage)
    run_gate(run)
    run_promote(run)
    return run


@pytest.fixture(scope="module")
def first(settings: Settings) -> Run:
    return ran(settings, "manual__1", trigger="manual")


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(send_module, "_WAITS", ())
    with PostSink() as made:
        monkeypatch.setenv(
            "AIRFLOW_CONN_TEAM", json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": made.port})
        )
        yield made


def untold(run: Run) -> Run:
    run.catalog.set_run_data(run.id, notified=None)
    return run


def headlines(sink: PostSink) -> list[str]:
    return [post.body["headline"] for post in sink.posts]


def test_the_verdict_on_a_new_version_is_told_once(first: Run, sink: PostSink) -> None:
    untold(first)
    assert tell(first.experiment, ABOUT, None, first, 2) is None
    assert tell(first.experiment, ABOUT, None, first, 2) is None, "a report that runs again"
    assert len(sink.posts) == 1
    tell(first.experiment, ABOUT, None, first, 5)
    assert len(sink.posts) == 2, "a run that was cleared is judged again"
    post = sink.posts[0]
    assert post.body["headline"] == "tiny@1 was not promoted"
    assert post.body["details"][0] == "There is still no champion."
    assert post.body["verdict"]["number"] == 1 and post.body["verdict"]["moved"] is False


def test_a_promotion(first: Run, sink: PostSink) -> None:
    untold(first)
    first.catalog.set_run_data(first.id, promoted=1)
    tell(first.experiment, ABOUT, None, first, 2)
    first.catalog.set_run_data(first.id, promoted=None)
    assert headlines(sink) == ["tiny@1 is the new champion"]


def test_a_run_that_found_everything_done_is_no_news(first: Run, settings: Settings, sink: PostSink) -> None:
    again = ran(settings, "manual__2", trigger="manual")
    assert tell(again.experiment, ABOUT, None, again, 2) is None
    assert sink.posts == []


def test_a_backfill_tells_failures_but_no_verdict(first: Run, sink: PostSink) -> None:
    backfilled = replace(untold(first), trigger="backfill")
    tell(backfilled.experiment, ABOUT, None, backfilled, 2)
    assert sink.posts == []
    tell(backfilled.experiment, ABOUT, "format: no data", backfilled, 2)
    assert headlines(sink) == ["failed in format"]


def test_a_run_that_never_opened_tells_its_failure(sink: PostSink) -> None:
    tell(tiny_experiment(**TOLD), ABOUT, "format: no data for 2025-07", None, 2)
    assert headlines(sink) == ["failed in format"]


@pytest.mark.parametrize(
    ("notify", "error"),
    [({"connection": None}, "format: no"), ({"connection": "team", "on": ["verdict"]}, "format: no"), ({}, None)],
)
def test_only_what_the_spec_asks_for(notify: dict[str, Any], error: str | None, first: Run, sink: PostSink) -> None:
    experiment: Experiment = tiny_experiment(notify=notify)
    assert tell(experiment, ABOUT, error, untold(first), 2) is None
    assert sink.posts == []


def test_what_cannot_be_sent_is_told_to_whoever_looks_and_may_be_told_later(
    first: Run, sink: PostSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    untold(first)
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", "http://127.0.0.1:9")
    reason = tell(first.experiment, ABOUT, "finetune: no memory", first, 2)
    assert reason is not None
    assert reason.startswith("the failure is not told: notify.connection: no POST over `team` (http://127.0.0.1:9): ")
    assert reason in caplog.text
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", f"http://127.0.0.1:{sink.port}")
    assert tell(first.experiment, ABOUT, "finetune: no memory", first, 2) is None
    assert headlines(sink) == ["failed in finetune"]
