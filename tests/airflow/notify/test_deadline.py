"""The deadline's callback, as the triggerer calls it. (The real triggerer: tests/e2e/test_notify.py.)"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from skillsengine.airflow.notify import send as send_module
from skillsengine.airflow.notify.deadline import missed
from skillsengine.airflow.notify.send import NotifyError
from tests.sinks import PostSink


def context(**run: Any) -> dict[str, Any]:
    """What Airflow hands to the callback: the run as its API shows it."""
    plain = {
        "dag_id": "job",
        "dag_run_id": "scheduled__1",
        "run_type": "scheduled",
        "state": "running",
        "partition_key": "2026-03",
        "queued_at": "2026-04-01T00:00:04.123456Z",
        "run_after": "2026-04-01T00:00:00Z",
    }
    return {"dag_run": plain | run, "deadline": {"id": "1", "deadline_time": "2026-04-01T06:00:04Z"}}


def call(failures_are_told: bool = True, **run: Any) -> str:
    return asyncio.run(
        missed(
            context(**run), experiment="job", connection="team", to=[], after="6h", failures_are_told=failures_are_told
        )
    )


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "http://me:hunter2@127.0.0.1:8080/")
    states = {"scheduled__1": {"format": "success", "finetune": "running", "evaluate": None}}
    # Only a task or a trigger of a running Airflow may ask for the states.
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **wanted: states)
    monkeypatch.setattr(send_module, "_WAITS", (0.0,))

    def connect(sink: PostSink) -> None:
        monkeypatch.setenv(
            "AIRFLOW_CONN_TEAM", json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": sink.port})
        )

    return connect


def test_a_run_that_is_late(connected: Any) -> None:
    with PostSink() as sink:
        connected(sink)
        assert call() == f"POST to http://127.0.0.1:{sink.port}: 200"
    (post,) = sink.posts
    assert post.body["text"] == (
        "job, partition 2026-03: not done after 6h\n"
        "It was queued at 2026-04-01 00:00 UTC; its state is running.\n"
        "finetune is running.\n"
        "Done: format.\n"
        "\n"
        "scheduled run scheduled__1\n"
        "http://127.0.0.1:8080/dags/job/runs/scheduled__1"
    )


@pytest.mark.parametrize(
    ("run", "told", "text"),
    [
        (
            {"run_type": "backfill"},
            True,
            "not told: a backfill queues all its runs at once and is done when it is done",
        ),
        ({"state": "failed"}, True, "not told: the run has failed, which was told already"),
    ],
)
def test_what_is_no_news(connected: Any, run: dict[str, Any], told: bool, text: str) -> None:
    with PostSink() as sink:
        connected(sink)
        assert call(told, **run) == text
    assert sink.posts == []


def test_a_failure_that_nobody_was_told(connected: Any) -> None:
    with PostSink() as sink:
        connected(sink)
        call(False, state="failed")
    assert sink.posts[0].body["headline"] == "missed its deadline of 6h and failed"


def test_a_message_that_cannot_be_sent_is_logged_with_the_mend(
    connected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with PostSink((500,)) as sink:
        connected(sink)
        with pytest.raises(NotifyError, match="it answered 500"):
            call()
    assert "job: the missed deadline is not told: notify.connection: no POST over `team`" in caplog.text
